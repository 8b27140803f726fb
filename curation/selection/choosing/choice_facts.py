"""The facts by which a recipe chooses, read shard by shard into one array a fact.

DuckDB evaluates the recipe's expressions over the tables of a shard. Between shards only numbers are kept, about 40
bytes a clip, and none of them as a Python value.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.selection.choosing.limits import Hashes, Mask
from curation.selection.choosing.recipe import Recipe
from shards.errors import ShardError
from shards.selections.clip_columns import ROW, ClipColumns
from shards.selections.sql_expressions import SqlExpression, parse_expression, sandbox

LICENCE: Final = "licence"
"""Reason of the clips whose licence is not among those of the recipe."""
_LICENCE_COLUMN: Final = "video_license"
_LENGTHS: Final = ("level", "start", "end", "parent_key", "video_id")
"""Columns of the texts that every choice reads."""


@dataclass(frozen=True)
class ChoiceFacts:
    """The facts of N clips, in order of shards; a fact that the recipe doesn't ask for is None."""

    kept: Mask
    """Kept by the selection that the recipe begins with."""
    seconds: NDArray[np.float32]
    is_root: Mask
    is_short: Mask
    ties: Hashes
    """Hash of the clip's key and the seed."""
    units: Hashes
    """Hash of the unit (clip or video) that a sample draws."""
    lacks: Mapping[str, Mask]
    """By reason: the clips that don't fulfil a condition that looks at one clip alone."""
    values: NDArray[np.float64] | None
    """Value of `top`; NaN without one."""
    balanced: Hashes | None
    """Hash of the value of `balance`."""

    @classmethod
    def joined(cls, parts: Sequence[ChoiceFacts]) -> ChoiceFacts:
        """Return the facts of several shards, at least one, as one."""
        one = parts[0]
        lacks = {name: np.concatenate([part.lacks[name] for part in parts]) for name in one.lacks}
        arrays = {
            each.name: np.concatenate([getattr(part, each.name) for part in parts])
            for each in fields(cls)
            if each.name != "lacks" and getattr(one, each.name) is not None
        }
        return replace(one, **arrays, lacks=lacks)


class FactReader:
    """Reads the facts of one shard after another."""

    def __init__(self, columns: ClipColumns, recipe: Recipe) -> None:
        """Parse the recipe's expressions and look up their columns.

        Raises:
            ShardError: an expression is not allowed, or names no column.
        """
        self._columns, self._licence = columns, recipe.licence
        self._connection = sandbox()
        self._where = {
            name: self._parsed(text, "--where") for name, text in zip(where_names(recipe), recipe.where, strict=True)
        }
        self._top = self._parsed(recipe.top.by, "--top") if recipe.top else None
        self._balance = self._parsed(recipe.balance.by, "--balance") if recipe.balance else None
        needed = columns.needed(self._expressions)
        videos = needed.videos | ({_LICENCE_COLUMN} if recipe.licence else set())
        self.needed = replace(needed, text=needed.text | set(_LENGTHS), videos=videos)
        """The columns that are read of each shard."""
        self._select = self._selected(recipe)

    @property
    def _expressions(self) -> list[SqlExpression]:
        return [*self._where.values(), *filter(None, (self._top, self._balance))]

    def _parsed(self, text: str, option: str) -> SqlExpression:
        return parse_expression(self._connection, text, option)

    def _selected(self, recipe: Recipe) -> dict[str, duckdb.Expression]:
        """Return the expressions to evaluate, by the name of their fact."""
        drawn = "video_id" if recipe.sample and recipe.sample.unit == "video" else "key"
        texts = {
            ROW: f'"{ROW}"',
            "seconds": '("end" - start)::float',
            "is_root": "parent_key is null",
            "is_short": "level = 'short'",
            "ties": f"md5_number_upper('{recipe.seed}:' || key)",
            "units": f"md5_number_upper('{recipe.seed}:' || {drawn})",
        } | ({LICENCE: _LICENCE_COLUMN} if self._licence else {})
        selected = {name: duckdb.SQLExpression(text) for name, text in texts.items()}
        selected |= {name: duckdb.SQLExpression(one.text) for name, one in self._where.items()}
        if self._top:
            selected["values"] = duckdb.SQLExpression(self._top.text).cast("double")
        if self._balance:
            selected["balanced"] = duckdb.FunctionExpression("hash", duckdb.SQLExpression(self._balance.text))
        return selected

    def read(self, shard: int, marks: pa.Table) -> ChoiceFacts:
        """Return the facts of one shard's clips, in the order of `marks`.

        Raises:
            ShardError: a table is unreadable or lacks clips, or an expression fails on a value.
        """
        clips = self._columns.clips(self._connection, shard, marks, self.needed)
        found = self._evaluated(clips)
        lacks = {name: ~_numpy(pc.fill_null(found[name].cast(pa.bool_()), False)) for name in self._where}
        if self._licence:
            lacks[LICENCE] = ~licensed(found[LICENCE], self._licence)
        return ChoiceFacts(
            kept=_numpy(marks["keep"]),
            **{name: _numpy(found[name]) for name in ("seconds", "is_root", "is_short", "ties", "units")},
            lacks=lacks,
            values=_numpy(pc.fill_null(found["values"], np.nan)) if self._top else None,
            balanced=_numpy(found["balanced"]) if self._balance else None,
        )

    def _evaluated(self, clips: duckdb.DuckDBPyRelation) -> pa.Table:
        """Return the values of all expressions, in the order of the clips."""
        named = [expression.alias(name) for name, expression in self._select.items()]
        try:
            found = clips.select(*named)
            for name, kind in zip(found.columns, found.types, strict=True):
                if name in self._where and str(kind) not in ("BOOLEAN", '"NULL"'):
                    one = self._where[name]
                    raise ShardError(f"{one.option} {one.text!r}: is no condition, but a value of type {kind}")
            table = found.to_arrow_table()
        except duckdb.Error as error:
            raise self._refusal(clips, error) from None
        places = _numpy(table[ROW])
        if np.array_equal(places, np.arange(len(places))):
            return table
        _, first = np.unique(places, return_index=True)  # spans of the manifest may meet a clip twice
        return table.take(pa.array(first))

    def _refusal(self, clips: duckdb.DuckDBPyRelation, error: duckdb.Error) -> ShardError:
        """Return an error of DuckDB as that of the expression which causes it."""
        for one in self._expressions:
            try:
                value = duckdb.SQLExpression(one.text)
                clips.select(self._select[ROW], value.cast("double") if one is self._top else value).to_arrow_table()
            except duckdb.Error as own:
                return one.refusal(own)
        return ShardError(f"{self._columns.store.root}: its tables can't be read ({error})")


def where_names(recipe: Recipe) -> list[str]:
    """Return the reasons of the conditions of `where`: ``where``, or ``where:1``, ``where:2``, … of several."""
    several = len(recipe.where) > 1
    return [f"where:{number}" if several else "where" for number, _ in enumerate(recipe.where, start=1)]


def licensed(licences: pa.ChunkedArray, patterns: Sequence[str]) -> Mask:
    """Return the mask of the licences that match one of the patterns; null matches none.

    Args:
        licences: as the sites word them.
        patterns: with ``*`` for any characters and ``?`` for one; capitals make no difference.
    """
    forms = [re.compile(fnmatch.translate(pattern.strip().lower())) for pattern in patterns]
    values = [text for text in pc.unique(licences).to_pylist() if text is not None]
    good = [text for text in values if any(form.match(text.strip().lower()) for form in forms)]
    return _numpy(pc.is_in(licences, value_set=pa.array(good, pa.string())))


def _numpy(column: pa.ChunkedArray) -> Any:
    return column.to_numpy()
