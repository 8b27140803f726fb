"""`curate check` and `curate export` for the terminal; the package `shards` does the work."""

from __future__ import annotations

import argparse
from collections import Counter

from rich.console import Console

from curation.preflight import check_can_write
from curation.view.inspect_clips import check_there, pick_layer
from runtime.errors import UserError, nearest
from runtime.progress_bar import progress_bar
from runtime.terminal import SafeConsole, on_one_line
from shards.checks.check_dir import check
from shards.export.export_samples import export
from shards.export.export_selection import ExportSelection
from shards.selections.selection import selections
from shards.storage.store import Store


def show_check(root: str, *, decode: bool, selection: str | None = None) -> int:
    """Check a DIR; return 0 if it is intact, otherwise 1 after a list of the problems.

    Args:
        root: the DIR.
        decode: also decode every frame.
        selection: name of the only selection to check; None: all.

    Raises:
        UserError: there is no such folder or selection, or the folder is empty.
    """
    console = _console()
    store = Store(root)
    check_there(store)
    if selection is not None and selection not in selections(store):
        raise UserError(f"--select {selection}: no such selection{nearest(selection, selections(store))}")
    with progress_bar("checking shards") as progress:
        problems = check(store, decode=decode, progress=progress, selection=selection)
    for problem in problems:
        console.print(on_one_line(f"{problem.where}: {problem.what}"))
    if problems:
        console.print(f"{len(problems)} problem{'s' * (len(problems) != 1)} in {root}")
        return 1
    console.print(f"{root}: every row has its bytes, every tree nests, all sizes and hashes match")
    return 0


def show_export(arguments: argparse.Namespace) -> int:
    """Export a DIR; return 0.

    Raises:
        UserError: no such layer, or an output that can't be written.
    """
    check_can_write(Store(arguments.output))
    store = Store(arguments.dir)
    layer = pick_layer(store, arguments.layer)
    selection = ExportSelection(
        layer, arguments.unit, arguments.where, not arguments.all, arguments.text, arguments.selection
    )
    counts: Counter[str] = Counter()
    with progress_bar("exporting") as progress:
        how = {"format": arguments.format, "output": arguments.output}
        written = export(store, selection, **how, progress=progress, counts=counts)
    without = f", {counts['without_text']} of them without {arguments.text}" if counts["without_text"] else ""
    if left_out := counts["shards_without_marks"]:
        _console().print(f"{left_out} shards left out: no selection marks their clips yet; run `curate run` to its end")
    _console().print(f"{written} samples of layer {layer} written to {arguments.output}{without}")
    return 0


def _console() -> Console:
    """Return a console that prints lines unchanged: file names may contain rich's markup."""
    return SafeConsole(highlight=False, markup=False, soft_wrap=True)
