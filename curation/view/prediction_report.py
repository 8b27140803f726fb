"""The prediction of a run as `curate plan --probe` prints it, and beside what the runs took as `curate status` does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.table import Table

from curation.reporting.prediction import ActualFigures, Estimate, PredictedFigures, Prediction
from curation.reporting.run_costs import RunPrices, money
from curation.reporting.spoken_numbers import counted, short_number

_LABELS: Final[Mapping[str, str]] = {
    "hours": "hours",
    "cpu_hours": "CPU-hours",
    "gpu_hours": "GPU-hours",
    "gigabytes": "GB stored",
    "prompt_tokens": "tokens in",
    "completion_tokens": "tokens out",
    "requests": "requests",
    "gigabytes_in": "GB received",
}
"""Names of the figures of `PredictedFigures`."""


def print_prediction(console: Console, prediction: Prediction, prices: RunPrices | None) -> None:
    """Print what all waiting sources will take, each figure with its spread over the shards of the probe."""
    where = "this machine" if prediction.nodes == 1 else f"{prediction.nodes} machines like this one"
    console.print(f"prediction for {_scope(prediction)}, on {where}", soft_wrap=True)
    table = Table()
    for name in ("", "all", "by its cheapest shard", "by its dearest shard"):
        table.add_column(name, justify="right" if name else "left")
    for name, estimate in _shown(prediction.figures).items():
        table.add_row(_LABELS[name], *_cells(estimate))
    if prices is not None:
        costs = prediction.figures.money(prices)
        table.add_row("money", *(money(value, prices) for value in (costs.value, costs.low, costs.high)))
    console.print(table)
    basis = "seconds of video" if prediction.video_hours is not None else "number of sources: no duration is known"
    spread = f"from a probe of {counted(prediction.probe_shards, 'shard')}"
    console.print(f"Extrapolated by {basis}, {spread}. The pace is limited by {prediction.bottleneck}.", soft_wrap=True)
    if prices is not None and prices.gigabyte_month:
        monthly = money(prediction.figures.gigabytes.value * prices.gigabyte_month, prices)
        console.print(f"on disk: {monthly} a month", markup=False)


def print_comparison(
    console: Console, prediction: Prediction, outcome: ActualFigures, prices: RunPrices | None
) -> None:
    """Print what runs have taken since a prediction beside it; while shards are left, for those that are made, too."""
    if not outcome.runs:
        console.print(f"prediction of {prediction.made}: no run has begun since", markup=False)
        return
    share = min(outcome.shards / prediction.shards, 1.0) if prediction.shards else 1.0
    is_part = share < 1
    done = f"{outcome.shards:,} of {counted(prediction.shards, 'shard')} made"
    console.print(f"\nprediction of {prediction.made} for {_scope(prediction)}; {done}", soft_wrap=True)
    table = Table()
    for name in ("", "predicted", *(["for what is made"] if is_part else []), "really", "ratio"):
        table.add_column(name, justify="right" if name else "left")
    estimates = _shown(prediction.figures)
    really = dict(outcome.figures)
    labels = dict(_LABELS)
    if prices is not None:
        estimates["money"] = prediction.figures.money(prices)
        really["money"] = sum((really[name] or 0.0) * price for name, price in prices.by_figure().items())
        labels["money"] = f"money, {prices.currency}"
    for name, estimate in estimates.items():
        part = estimate.scaled(share)
        value = really[name]
        ratio = "" if value is None or not part.value else f"{value / part.value:.2f}"
        taken = "?" if value is None else short_number(value)
        table.add_row(labels[name], _ranged(estimate), *([_ranged(part)] if is_part else []), taken, ratio)
    console.print(table)


def _scope(prediction: Prediction) -> str:
    sources = f"{counted(prediction.sources, 'source')} in {counted(prediction.shards, 'shard')}"
    hours = prediction.video_hours
    return sources if hours is None else f"{sources}, {short_number(hours)} hours of video"


def _shown(figures: PredictedFigures) -> dict[str, Estimate]:
    """Return the figures that are not 0, and the hours."""
    every = {name: getattr(figures, name) for name in _LABELS}
    return {name: each for name, each in every.items() if each.high or name == "hours"}


def _cells(estimate: Estimate) -> list[str]:
    return [short_number(value) for value in (estimate.value, estimate.low, estimate.high)]


def _ranged(estimate: Estimate) -> str:
    value, low, high = _cells(estimate)
    return value if low == high else f"{value} ({low} to {high})"
