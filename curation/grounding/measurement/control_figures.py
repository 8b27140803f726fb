"""Figures on claims whose truth is known: how many of each kind every judge and the cascade accept, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Final

import pyarrow as pa

from curation.grounding.injections.control_claims import CONTRADICTED, CONTROL_KINDS, SHUFFLED, SUPPORTED, UNTOUCHED
from curation.grounding.judge_registry import CascadeSettings
from curation.grounding.measurement.judge_scores import JudgedControl, accepted, unjudged

FIGURES: Final = "injected.parquet"
"""Name of the table of figures, in ``DIR/audit/<layer>/``."""
ALL_INJECTED: Final = "all injected"
"""Name of all kinds of injected errors together."""
_SCHEMA: Final = pa.schema(
    [
        ("judge", pa.string()),
        ("kind", pa.string()),
        ("claims", pa.int64()),
        ("accepted", pa.int64()),
        ("unjudged", pa.int64()),
        ("share", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)


@dataclass(frozen=True)
class ControlFigure:
    """The claims of one kind that one judge accepts."""

    judge: str
    """A judge alone, or `CASCADE`."""
    kind: str
    """One of `CONTROL_KINDS`, or `ALL_INJECTED`."""
    claims: int
    accepted: int
    unjudged: int
    """Claims that the judge could not score; they count as not accepted."""
    share: float
    """Of the claims, accepted: recall for `UNTOUCHED`, otherwise the false-accept rate; NaN without claims."""
    low: float
    high: float
    """The 95 % Wilson interval of `share`."""


def control_figures(judged: Sequence[JudgedControl], settings: CascadeSettings) -> list[ControlFigure]:
    """Return the figures of each judge alone and of the cascade, kind by kind and for all injected errors.

    Of claims that people labelled: for the true and for the false ones.
    """
    kept, unscored = accepted(judged, settings), unjudged(judged, settings)
    rows = []
    for judge in kept:
        for kind, numbers in _by_kind(judged):
            hits = [kept[judge][number] for number in numbers]
            rows.append(_figure(judge, kind, hits, sum(unscored[judge][number] for number in numbers)))
    return rows


def _by_kind(judged: Sequence[JudgedControl]) -> list[tuple[str, list[int]]]:
    labelled = {
        kind: [number for number, each in enumerate(judged) if each.control.kind == kind]
        for kind in (SUPPORTED, CONTRADICTED)
    }
    if any(labelled.values()):
        return list(labelled.items())
    groups = {
        kind: [number for number, each in enumerate(judged) if each.control.kind == kind] for kind in CONTROL_KINDS
    }
    injected = [number for kind in groups if kind not in (UNTOUCHED, SHUFFLED) for number in groups[kind]]
    names = [UNTOUCHED, *(kind for kind in groups if kind not in (UNTOUCHED, SHUFFLED)), ALL_INJECTED, SHUFFLED]
    return [(name, injected if name == ALL_INJECTED else groups[name]) for name in names]


def _figure(judge: str, kind: str, hits: Sequence[bool], unscored: int) -> ControlFigure:
    share = sum(hits) / len(hits) if hits else float("nan")
    return ControlFigure(judge, kind, len(hits), sum(hits), unscored, share, *wilson_interval(sum(hits), len(hits)))


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share; (0, 1) without trials."""
    if total == 0:
        return 0.0, 1.0
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, total, alpha=0.05, method="wilson")
    return float(low), float(high)


def figures_table(figures: Sequence[ControlFigure]) -> pa.Table:
    """Return the figures as a table, one row each."""
    names = [field.name for field in fields(ControlFigure)]
    return pa.Table.from_pylist([asdict(figure) for figure in figures], schema=_SCHEMA).select(names)


def markdown(figures: Sequence[ControlFigure]) -> str:
    """Return the figures as a Markdown table: one row a kind, one column a judge."""
    judges = list(dict.fromkeys(figure.judge for figure in figures))
    kinds = list(dict.fromkeys(figure.kind for figure in figures))
    cells = {(figure.judge, figure.kind): figure for figure in figures}
    lines = [f"| kind | claims | {' | '.join(judges)} |", "|---|---|" + "---|" * len(judges)]
    for kind in kinds:
        row = [cells[judge, kind] for judge in judges]
        lines.append(f"| {kind} | {row[0].claims} | {' | '.join(map(_cell, row))} |")
    return "\n".join(lines)


def _cell(figure: ControlFigure) -> str:
    if not figure.claims:
        return "–"
    scored = figure.claims - figure.unjudged
    if not scored:
        return "can't tell"
    return f"{100 * figure.share:.1f} % ({100 * figure.low:.1f}–{100 * figure.high:.1f})"
