"""Outcomes of the runs of `bench.transfer`, and the Markdown tables of all runs."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from bench import transfer_data as data

CLOZE, STATED, PROBE = "cloze", "cloze, stated nouns", "linear probe"
HEADS: Final = {
    CLOZE: "cloze of held-out nouns, right %",
    PROBE: "linear probe of held-out nouns, right %",
    STATED: "cloze of stated nouns, right % (memory: the corpus states them)",
}


@dataclass(frozen=True)
class Outcome:
    """Outcome of one training run."""

    row: str
    """Name of its row in the tables."""
    seed: int
    scores: dict[str, dict[str, float]]
    """Percent, by a key of `HEADS` and property."""
    mlm_accuracy: float | None
    """Percent of masked tokens of held-out blocks; none for teachers."""
    seconds: float
    """Duration of the training."""

    def text(self) -> str:
        """Return one readable line."""
        found = ", ".join(f"{name} {statistics.mean(by.values()):.1f}" for name, by in self.scores.items())
        return f"{self.row}, seed {self.seed}: {self.seconds:.0f} s, {found}"


def report(outcomes: Sequence[Outcome], rows: Sequence[str], setup: str, seconds: float) -> str:
    """Return the tables: mean ± standard deviation over seeds.

    Args:
        outcomes: outcomes of all runs, in any order.
        rows: names of the rows in order; those without an outcome are left out.
        setup: sizes and machine, for the line above the tables.
        seconds: duration of all runs together.
    """
    rows = [row for row in rows if any(outcome.row == row for outcome in outcomes)]
    seeds = ", ".join(map(str, sorted({outcome.seed for outcome in outcomes})))
    world = data.make_world(0)
    nouns = f"{len(world.stated)} nouns stated, {len(world.held_out)} held out"
    took = f"{seconds / 60:.0f} minutes in all, {platform.machine()}, torch {torch.__version__}"
    lines = [f"{nouns}. {setup}; seeds {seeds}, mean ± standard deviation; {took}."]
    for measure in HEADS:
        lines += ["", _table(measure, rows, outcomes)]
    return "\n".join([*lines, "", _work_table(rows, outcomes), ""])


def _table(measure: str, rows: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """Return the table of one measure, with a column for each property."""
    lines = [f"| {HEADS[measure]} | mean | {' | '.join(data.LOOKS)} |", "|---" * (len(data.LOOKS) + 2) + "|"]
    chances = [100 / len(words) for words in data.LOOKS.values()]
    lines.append(_line("*chance*", [[statistics.mean(chances)], *([chance] for chance in chances)]))
    for row in rows:
        own = [outcome.scores[measure] for outcome in outcomes if outcome.row == row and measure in outcome.scores]
        if own:
            cells = [[scores[name] for scores in own] for name in data.LOOKS]
            lines.append(_line(row, [[statistics.mean(values) for values in zip(*cells, strict=True)], *cells]))
    return "\n".join(lines)


def _work_table(rows: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    lines = ["| work | masked tokens of held-out blocks, right % | seconds |", "|---|---|---|"]
    for row in rows:
        own = [outcome for outcome in outcomes if outcome.row == row]
        accuracies = [outcome.mlm_accuracy for outcome in own if outcome.mlm_accuracy is not None]
        accuracy = _cell(accuracies, 1) if accuracies else ""
        lines.append(f"| {row} | {accuracy} | {_cell([outcome.seconds for outcome in own], 0)} |")
    return "\n".join(lines)


def _line(name: str, cells: Sequence[Sequence[float]]) -> str:
    return f"| {name} | {' | '.join(_cell(cell, 1) for cell in cells)} |"


def _cell(values: Sequence[float], digits: int) -> str:
    """Return the mean, and the standard deviation if there are several values."""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"
