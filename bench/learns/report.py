"""Tables and a figure from the JSON Lines of finished runs.

    python -m bench.learns.report --results FILE.jsonl --figure docs/images/learns.svg > FILE.md

Everything is computed from the file by `bench.learns.rule`; nothing is typed in.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.learns.__main__ import read
from bench.learns.queries import CONTROL, QUERIES, TIMED
from bench.learns.rule import (
    COMPARISONS,
    PRIMARY,
    Comparison,
    Scores,
    cannot_decide,
    counted,
    differences,
    interval,
    verdict,
)
from bench.learns.training import OVER_TWIN, R1, Outcome
from bench.learns.variants import VARIANTS

_LOCAL: Final = " + local"
"""End of the names of variants with spatially local attention."""


def main() -> int:
    """Print the tables; draw the figure if a file for it is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("learns.jsonl"), help="JSON Lines of finished runs")
    parser.add_argument("--figure", type=Path, help="SVG or PNG file")
    arguments = parser.parse_args()
    outcomes = read(arguments.results)
    print(tables(outcomes))
    if arguments.figure:
        draw(outcomes, arguments.figure)
    return 0


def tables(outcomes: Sequence[Outcome]) -> str:
    """Return the Markdown tables: what is decided, and the scores of every variant."""
    scores = by_seed(outcomes, OVER_TWIN)
    lines = ["| comparison | seeds | difference, points | 95 % interval | verdict |", "|---|---|---|---|---|"]
    lines += [_decision(comparison, scores) for comparison in COMPARISONS]
    for measure in (OVER_TWIN, R1):
        lines += ["", *_score_table(outcomes, measure)]
    return "\n".join(lines)


def by_seed(outcomes: Sequence[Outcome], measure: str) -> dict[int, Scores]:
    """Return percent by seed, variant and query."""
    seeds = sorted({outcome.seed for outcome in outcomes})
    return {
        seed: {outcome.variant: outcome.scores[measure] for outcome in outcomes if outcome.seed == seed}
        for seed in seeds
    }


def _decision(comparison: Comparison, scores: dict[int, Scores]) -> str:
    """Return the row of a comparison; without two seeds it has no interval and is not decided."""
    of_seeds = counted(comparison, scores)
    name = f"**{comparison.name}**" if comparison.name == PRIMARY else comparison.name
    question = f"{name}: {comparison.question}"
    values = differences(comparison, of_seeds)
    if len(values) < 2:
        mean = f"{values[0]:+.1f}" if values else ""
        return f"| {question} | {len(values)} | {mean} | | not decided |"
    found, silent = interval(values), cannot_decide(comparison, of_seeds)
    note = f" (can't differ: {', '.join(silent)})" if silent else ""
    spread = f"{found.mean:+.1f} | {found.low:+.1f} to {found.high:+.1f}"
    return f"| {question} | {len(values)} | {spread} | {verdict(found)}{note} |"


def _score_table(outcomes: Sequence[Outcome], measure: str) -> list[str]:
    columns = QUERIES if measure == R1 else (*TIMED, CONTROL)
    lines = [f"| {measure}, % | seeds | timed | {' | '.join(columns)} |", "|---" * (len(columns) + 3) + "|"]
    for name in VARIANTS:
        own = [outcome.scores[measure] for outcome in outcomes if outcome.variant == name]
        if own:
            timed = [statistics.mean(scores[query] for query in TIMED) for scores in own]
            cells = [_cell(timed), *(_cell([scores[query] for scores in own]) for query in columns)]
            lines.append(f"| {name} | {len(own)} | {' | '.join(cells)} |")
    return lines


def _cell(values: Sequence[float]) -> str:
    """Return the mean, and the standard deviation if there are several values."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def draw(outcomes: Sequence[Outcome], file: Path) -> None:
    """Draw the score of each variant by query: the mean over its seeds, with a bar from the lowest to the highest."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "learns"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 3.8))
    there = [name for name in VARIANTS if any(outcome.variant == name for outcome in outcomes)]
    bases = list(dict.fromkeys(name.removesuffix(_LOCAL) for name in there))
    for number, name in enumerate(there):
        own = [outcome.scores[OVER_TWIN] for outcome in outcomes if outcome.variant == name]
        places = [place + 0.8 * (number - (len(there) - 1) / 2) / len(there) for place in range(len(TIMED))]
        columns = [[scores[query] for scores in own] for query in TIMED]
        means = [statistics.mean(values) for values in columns]
        below = [mean - min(values) for mean, values in zip(means, columns, strict=True)]
        above = [max(values) - mean for mean, values in zip(means, columns, strict=True)]
        label = f"{name} ({len(own)} seeds)" if len(own) > 1 else f"{name} (1 seed)"
        colour = f"C{bases.index(name.removesuffix(_LOCAL))}"
        inside = colour if name.endswith(_LOCAL) else "white"  # filled: with local attention
        axes.errorbar(
            places, means, [below, above], fmt="o", markersize=4, linewidth=1.2, color=colour, mfc=inside, label=label
        )
    axes.axhline(50, color="black", linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(TIMED)), TIMED)
    axes.set_ylabel("own caption over its twin, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
