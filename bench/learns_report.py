"""Runs of `bench.learns`, their outcomes, and the Markdown tables of all runs."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench import learns_data as data

TO_VIDEO, TO_TEXT, OVER_TWIN = "text to video, R@1 %", "video to text, R@1 %", "own caption over its twin, %"


@dataclass(frozen=True)
class Job:
    """One training run."""

    variant: str
    clips_per_root: int
    seed: int
    steps: int
    batch: int

    @property
    def row(self) -> str:
        """Name of its row in the tables."""
        return self.variant if self.clips_per_root == 1 else f"full, {self.clips_per_root} clips per root"


@dataclass(frozen=True)
class Outcome:
    """Outcome of one training run."""

    job: Job
    scores: dict[tuple[str, str], float]
    """Percent, by measure and kind."""
    loss: float
    """Mean over the last tenth of the steps."""
    seconds: float
    """Duration of the training."""


def report(outcomes: Sequence[Outcome], rows: Sequence[str], setup: str, seconds: float) -> str:
    """Return the tables: mean ± standard deviation over seeds.

    Args:
        outcomes: outcomes of all runs, in any order.
        rows: names of the rows in order; those without an outcome are left out.
        setup: model and machine, for the line above the tables.
        seconds: duration of all runs together.
    """
    jobs = [outcome.job for outcome in outcomes]
    rows = [row for row in rows if any(job.row == row for job in jobs)]
    seeds = ", ".join(sorted({str(job.seed) for job in jobs}))
    clips = f"{jobs[0].steps} steps of {jobs[0].batch} clips of {data.FRAMES} frames, {data.SIZE} px"
    took = f"{seconds / 60:.0f} minutes in all, {platform.machine()}, torch {torch.__version__}"
    lines = [f"{clips}; {setup}; seeds {seeds}, mean ± standard deviation; {took}."]
    for measure in (TO_VIDEO, TO_TEXT, OVER_TWIN):
        lines += ["", _table(measure, rows, outcomes)]
    return "\n".join([*lines, "", _work_table(rows, outcomes), ""])


def _table(measure: str, rows: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """Return the table of one measure, with a column for each kind."""
    kinds = [kind for kind in data.ALL_KINDS if (measure, kind) in outcomes[0].scores]
    lines = [f"| {measure} | mean | {' | '.join(kinds)} |", "|---" * (len(kinds) + 2) + "|"]
    chance = 50.0 if measure == OVER_TWIN else 100 / len(data.gallery("rest", np.random.default_rng(0)))
    at_most = [100.0 if kind == "rest" else 50.0 for kind in kinds]
    lines.append(_line("*chance*", [[chance]] * (len(kinds) + 1)))
    lines.append(_line("*bag of frames, at most*", [[statistics.mean(at_most)], *([value] for value in at_most)]))
    for row in rows:
        own = [outcome.scores for outcome in outcomes if outcome.job.row == row]
        cells = [[scores[measure, kind] for scores in own] for kind in kinds]
        lines.append(_line(row, [[statistics.mean(values) for values in zip(*cells, strict=True)], *cells]))
    return "\n".join(lines)


def _work_table(rows: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    lines = ["| work | training clips | roots decoded | loss at the end | ms per step |", "|---|---|---|---|---|"]
    for row in rows:
        own = [outcome for outcome in outcomes if outcome.job.row == row]
        job = own[0].job
        clips, losses = job.steps * job.batch, [outcome.loss for outcome in own]
        milliseconds = [1000 * outcome.seconds / job.steps for outcome in own]
        cells = [str(clips), str(clips // job.clips_per_root), _cell(losses, 2), _cell(milliseconds, 0)]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _line(name: str, cells: Sequence[Sequence[float]]) -> str:
    return f"| {name} | {' | '.join(_cell(cell, 1) for cell in cells)} |"


def _cell(values: Sequence[float], digits: int) -> str:
    """Return the mean, and the standard deviation if there are several values."""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"
