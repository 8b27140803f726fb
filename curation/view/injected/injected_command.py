"""`curate audit DIR --injected` and ``--fit``: the judges measured on claims whose truth is known.

Thresholds are fitted from people's labels where enough claims are labelled, and otherwise from injected errors.
"""

from __future__ import annotations

import argparse

from rich.console import Console

from curation.view.injected.fitted_settings import fit
from curation.view.injected.injected_measure import InjectedRequest, measure
from curation.view.injected.injected_report import report
from curation.view.injected.labelled_measure import measure_labels
from runtime.errors import UserError
from runtime.terminal import SafeConsole


def show_injected(arguments: argparse.Namespace, console: Console | None = None) -> int:
    """Measure the judges, print and store the figures, and with ``--fit`` thresholds as well; return 0.

    Raises:
        UserError: no such DIR, layer or pipeline; nothing to measure on; or a bound that is no share.
        ShardError: the DIR is damaged.
        MachineError: the engine of a judge does not start, or died.
    """
    if arguments.fit is not None and not 0 < arguments.fit < 1:
        raise UserError(f"--fit {arguments.fit:g}: must be a share between 0 and 1, such as 0.1")
    if arguments.where is not None:
        raise UserError("--where: says which clips --sample draws from; --injected and --fit take all")
    if arguments.clips < 1:
        raise UserError(f"--clips {arguments.clips}: must be 1 or more")
    request = InjectedRequest(
        arguments.dir,
        arguments.layer,
        arguments.pipeline,
        arguments.config,
        tuple(arguments.assignments),
        arguments.clips,
        arguments.seed,
    )
    console = console or SafeConsole(highlight=False)
    labelled = measure_labels(request, console) if arguments.fit is not None else None
    if arguments.injected or labelled is None:
        measured = measure(request)
        report(measured, console)
    if arguments.fit is not None:
        fit(labelled or measured, request, arguments.fit, console)
    return 0
