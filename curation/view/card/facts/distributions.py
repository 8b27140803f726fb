"""The distribution of a column of numbers: mean, quantiles and a histogram with round edges, by DuckDB."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from curation.view.browser.queries.clip_tables import quoted
from curation.view.card.facts.card_tables import CardTables

_BARS: Final = 40
"""Most bars of a histogram."""


@dataclass(frozen=True)
class ValueHistogram:
    """Counts of values in bars of equal width."""

    low: float
    """Lower edge of the first bar."""
    width: float
    """Width of each bar."""
    counts: tuple[int, ...]
    """Values in each bar; its lower edge belongs to it."""

    @property
    def edges(self) -> tuple[float, ...]:
        """Edges of the bars, one more than there are bars."""
        return tuple(self.low + self.width * place for place in range(len(self.counts) + 1))


@dataclass(frozen=True)
class Distribution:
    """The values of a column that are finite numbers."""

    count: int
    mean: float
    low: float
    """5 % of the values are at most this large."""
    median: float
    high: float
    """95 % of the values are at most this large."""
    smallest: float
    largest: float
    histogram: ValueHistogram


def distribution(tables: CardTables, table: str, column: str, width: float | None = None) -> Distribution | None:
    """Return the distribution of a column of a table; None if it has no finite number.

    Args:
        tables: of the card.
        table: its name, with a condition in SQL if not all rows count.
        column: its name.
        width: of the bars; None: a round one that fits the values.

    Raises:
        UserError: a table is damaged.
    """
    name = f"{quoted(column)}::double"
    finite = f"from (select {name} as value from {table}) where isfinite(value)"  # noqa: S608  quoted
    (row,) = tables.rows(
        "select count(*) as count, avg(value) as mean, quantile_cont(value, [0.05, 0.5, 0.95]) as quantiles, "
        f"min(value) as smallest, max(value) as largest {finite}"
    )
    if not row["count"]:
        return None
    width = width or bar_width(row["smallest"], row["largest"])
    first = math.floor(row["smallest"] / width)
    bars = math.floor(row["largest"] / width) - first + 1
    counted = tables.rows(f"select floor(value / ?)::bigint as bar, count(*) as values {finite} group by 1", [width])
    counts = {each["bar"] - first: each["values"] for each in counted}
    histogram = ValueHistogram(first * width, width, tuple(counts.get(place, 0) for place in range(bars)))
    low, median, high = row["quantiles"]
    return Distribution(row["count"], row["mean"], low, median, high, row["smallest"], row["largest"], histogram)


def bar_width(smallest: float, largest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, so that `_BARS` bars or fewer hold all values."""
    span = (largest - smallest) / (_BARS - 1)
    if span <= abs(largest) * 1e-9 or span < 1e-12:
        return 10.0 ** math.floor(math.log10(abs(largest))) / 10 if abs(largest) > 1e-9 else 1.0
    power = 10.0 ** math.floor(math.log10(span))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= span)
