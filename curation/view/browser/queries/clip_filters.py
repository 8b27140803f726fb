"""The filters of the browse page, with a sample of their matches: read from an address, written into links, made SQL.

Values go into SQL as parameters; names of columns are those of the table, quoted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

from curation.view.browser.queries.clip_tables import ClipTables, RangeColumn, quoted
from runtime.errors import UserError, nearest
from shards.schema import LEVELS, REWRITE_STATUSES

KEEPS: Final = ("kept", "dropped", "unmarked")
SORTS: Final = {
    "time": "in order of videos",
    "longest": "longest first",
    "shortest": "shortest first",
    "random": "random",
}
_ORDER: Final = {
    "time": "place",
    "longest": "seconds desc, place",
    "shortest": "seconds, place",
    "random": "hash(id, $seed), place",
}
ALL: Final = "true"
"""Condition that all clips fulfil."""
_MOST_CHARACTERS: Final = 8000
"""Of one value."""
_LAST_PAGE: Final = 1_000_000
_LARGEST_SAMPLE: Final = 100_000


@dataclass(frozen=True)
class ClipFilters:
    """The clips that a page shows, and their order."""

    levels: tuple[str, ...] = ()
    """Any of these; (): all."""
    statuses: tuple[str, ...] = ()
    keep: str = ""
    """One of `KEEPS`; "": all."""
    reason: str = ""
    """Name of the filter that dropped the clips."""
    language: str = ""
    source: str = ""
    """Part of a source."""
    text: str = ""
    """Part of a text."""
    sql: str = ""
    """Condition in DuckDB's SQL."""
    ranges: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Least and most by column."""
    sort: str = "time"
    """One of `SORTS`, or a column of numbers, with ``-`` before it for largest first."""
    sample: int = 0
    """Number of clips to draw at random from those that match; 0: all."""
    seed: int = 0
    """Another one draws another sample, and gives another random order."""
    page: int = 1

    @classmethod
    def read(cls, given: Iterable[tuple[str, str]]) -> ClipFilters:
        """Return the filters that an address states.

        Raises:
            UserError: a value is none that there is.
        """
        pairs = [(name, value) for name, value in given if value != ""]
        for name, value in pairs:
            if len(value) > _MOST_CHARACTERS:
                raise UserError(f"{name}: {len(value)} characters; at most {_MOST_CHARACTERS} can be given")
        one = dict(pairs)
        levels = _known("level", (value for name, value in pairs if name == "level"), LEVELS)
        statuses = _known("status", (value for name, value in pairs if name == "status"), REWRITE_STATUSES)
        _known("keep", [one["keep"]] if "keep" in one else [], KEEPS)
        words = {name: one.get(name, "") for name in ("keep", "reason", "language", "source", "text", "sql")}
        page = _whole("page", one.get("page", "1"), 1, _LAST_PAGE)
        seed = _whole("seed", one.get("seed", "0"), 0, (1 << 31) - 1)
        sample = _whole("sample", one.get("sample", "0"), 0, _LARGEST_SAMPLE)
        ranges, sort = _ranges(pairs), one.get("sort", "time")
        return cls(levels, statuses, ranges=ranges, sort=sort, sample=sample, seed=seed, page=page, **words)

    def query(self, **changes: Any) -> str:
        """Return the part of an address after ``?`` that states these filters with some changes."""
        new = replace(self, **changes)
        pairs = [("level", level) for level in new.levels] + [("status", status) for status in new.statuses]
        words = ("keep", "reason", "language", "source", "text", "sql")
        pairs += [(name, getattr(new, name)) for name in words if getattr(new, name)]
        for name, bounds in new.ranges.items():
            pairs += [
                (f"{side}.{name}", f"{bound:g}")
                for side, bound in zip(("min", "max"), bounds, strict=True)
                if bound is not None
            ]
        pairs += [("sort", new.sort)] if new.sort != "time" else []
        pairs += [("sample", str(new.sample))] if new.sample else []
        pairs += [("seed", str(new.seed))] if new.seed else []
        pairs += [("page", str(new.page))] if new.page != 1 else []
        return urlencode(pairs)

    def where(self, tables: ClipTables) -> tuple[str, dict[str, object]]:
        """Return the condition over ``clips`` in SQL, and its parameters.

        Raises:
            UserError: the condition in SQL is none, or there is no such column.
        """
        parts, values = [ALL], dict[str, object]()
        for column, wanted in (("level", self.levels), ("rewrite_status", self.statuses)):
            if wanted:
                parts.append(f"list_contains(${column}, {column})")
                values[column] = list(wanted)
        if self.keep:
            parts.append({"kept": "keep", "dropped": "not keep", "unmarked": "keep is null"}[self.keep])
        for column, word in (("filter_reason", self.reason), ("language", self.language)):
            if word:
                parts.append(f"{column} = ${column}")
                values[column] = word
        if self.source:
            parts.append("contains(lower(source), lower($source))")
            values["source"] = self.source
        columns = {each.name for each in tables.ranges}
        for number, (name, bounds) in enumerate(self.ranges.items()):
            _check_column(name, columns)
            for sign, side, bound in zip((">=", "<="), ("min", "max"), bounds, strict=True):
                if bound is not None:
                    parts.append(f"{quoted(name)} {sign} ${side}{number}::float")
                    values[f"{side}{number}"] = bound
        if self.text:
            parts.append(f"id in (select id from {tables.matching_text(self.text)})")  # noqa: S608  a hash
        if self.sql:
            parts.append(f"id in (select id from {tables.matching_sql(self.sql)})")  # noqa: S608  a hash
        condition = " and ".join(parts)
        if not self.sample:
            return condition, values
        drawn = f"select place from clips where {condition} order by hash(id, $seed), place limit {self.sample}"  # noqa: S608
        return f"place in ({drawn})", values | {"seed": self.seed}

    def order(self, ranges: Sequence[RangeColumn]) -> tuple[str, dict[str, object]]:
        """Return the order of clips in SQL, and its parameters.

        Raises:
            UserError: there is no such order.
        """
        if self.sort in _ORDER:
            return _ORDER[self.sort], {"seed": self.seed} if self.sort == "random" else {}
        name = self.sort.removeprefix("-")
        _check_column(name, {each.name for each in ranges})
        return f"{quoted(name)} {'desc' if self.sort.startswith('-') else ''} nulls last, place", {}


def _ranges(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[float | None, float | None]]:
    ranges: dict[str, tuple[float | None, float | None]] = {}
    for name, value in pairs:
        side, _, column = name.partition(".")
        if side in ("min", "max") and column:
            try:
                bound = float(value)
            except ValueError:
                bound = math.nan
            if not math.isfinite(bound):
                raise UserError(f"{name} = {value!r}: must be a number")
            low, high = ranges.get(column, (None, None))
            ranges[column] = (bound, high) if side == "min" else (low, bound)
    return ranges


def _check_column(name: str, columns: Iterable[str]) -> None:
    if name not in columns:
        raise UserError(f"{name!r}: there is no such column of numbers{nearest(name, sorted(columns))}")


def _known(name: str, values: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(values))
    for value in chosen:
        if value not in known:
            raise UserError(f"{name} = {value!r}: there is no such {name}{nearest(value, list(known))}")
    return chosen


def _whole(name: str, text: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text[:12]) <= high:
        raise UserError(f"{name} = {text!r}: must be a whole number, {low} to {high}")
    return int(text)
