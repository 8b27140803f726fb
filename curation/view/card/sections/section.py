"""The parts that a card is made of: sections with sentences, tables, plots and commands. All texts are plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from curation.view.card.facts.distributions import ValueHistogram

UNKNOWN = "not stated"
NONE = "–"
_LONGEST = 600


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    is_number: bool = True


@dataclass(frozen=True)
class CardTable:
    """A table of texts."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    bars: Sequence[float] | None = None
    """A share of each row, 0 to 1, that the report draws as a bar."""


@dataclass(frozen=True)
class HistogramSeries:
    """One histogram of a plot."""

    name: str
    histogram: ValueHistogram
    mark: float | None = None
    """The paper's mean, drawn as a line."""


@dataclass(frozen=True)
class HistogramPlot:
    """Histograms over one axis."""

    title: str
    unit: str
    """Label of the axis of values."""
    series: Sequence[HistogramSeries]


@dataclass(frozen=True)
class IntervalRow:
    """A share with its interval, 0 to 1."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class IntervalPlot:
    """Shares with their intervals, one below another."""

    title: str
    rows: Sequence[IntervalRow]


@dataclass(frozen=True)
class Section:
    """A section of a card."""

    id: str
    """Its anchor: small letters and hyphens."""
    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[CardTable] = ()
    plots: Sequence[HistogramPlot | IntervalPlot] = ()
    points: Sequence[str] = ()
    """A list, below the sentences."""
    code: Sequence[str] = field(default=())
    """Blocks of code, each ready to be copied."""
    has_sample: bool = False
    """True for the section that shows the sampled clips."""


def count(number: int | None) -> str:
    """Return a whole number as people write it."""
    return NONE if number is None else f"{number:,}"


def hours(value: float) -> str:
    """Return a number of hours with the digits that people need."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def percent(part: float, whole: float) -> str:
    """Return a share in percent; a dash of nothing."""
    return NONE if not whole else f"{100 * part / whole:.1f} %"


def number(value: float | None) -> str:
    """Return a number with four digits."""
    return NONE if value is None else f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def shortened(text: str) -> str:
    """Return a text, or the beginning of one that is too long to be shown."""
    return text if len(text) <= _LONGEST else text[:_LONGEST].rstrip() + " …"
