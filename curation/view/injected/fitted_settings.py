"""`curate audit DIR --fit`: thresholds for a bound on accepted errors, as a settings file that `curate run` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml
from rich.console import Console

from curation.grounding.measurement.threshold_fit import FittedThresholds, fit_thresholds
from curation.pipeline import default_config
from curation.view.injected.injected_measure import InjectedMeasurement, InjectedRequest
from runtime.settings import load_yaml, override

FITTED: Final = "fitted.yaml"
"""Name of the settings file, in ``DIR/audit/<layer>/``."""


def fit(measured: InjectedMeasurement, request: InjectedRequest, bound: float, console: Console) -> None:
    """Fit thresholds, print what they cost, and write the pipeline with them.

    Raises:
        UserError: there is nothing to fit on.
    """
    fitted = fit_thresholds(measured.judged, measured.ground, bound)
    assignments = [f"rewrite.ground.{name}.threshold={value:g}" for name, value in fitted.thresholds.items()]
    name = f"audit/{measured.layer}/{FITTED}"
    text = settings_file(measured.pipeline, request.config, [*request.assignments, *assignments])
    measured.store.commit_bytes(text.encode(), name)
    for line in (
        *_cost(fitted, measured.is_labelled),
        f"curate run {measured.pipeline} --config {measured.store.path(name)} …",
    ):
        console.print(line, markup=False, soft_wrap=True)
    console.print(" or " + " ".join(f"--set {each}" for each in assignments), markup=False, soft_wrap=True)


def settings_file(pipeline: str, config: Path | None, assignments: list[str]) -> str:
    """Return the text of a pipelines.yaml with one pipeline, in which the assignments are made."""
    values = override(load_yaml(config or default_config())[pipeline] or {}, assignments)
    return yaml.safe_dump({pipeline: values}, sort_keys=False, allow_unicode=True)


def _cost(fitted: FittedThresholds, labelled: bool) -> list[str]:
    before, after, bound = fitted.before, fitted.after, fitted.bound
    met = "" if fitted.is_met else ": the bound can't be kept, these are the strictest thresholds"
    false, true = ("false claims", "true claims") if labelled else ("errors", "untouched claims")
    return [
        f"{false} accepted {100 * before.false:.1f} % -> {100 * after.false:.1f} %, bound {100 * bound:g} %{met}",
        f"{true} accepted {100 * before.true:.1f} % -> {100 * after.true:.1f} %",
    ]
