"""The columns that an expression over the clips of a text layer may name, and the clips of a shard with those it needs.

In this order: the text layer, the marks of a selection, media, videos (``video_…``), the columns of the manifest, and
scores. A score is named alone if only one set has it and no other table does, otherwise as ``set.column``; a set with
the name of a column is ``scores_set``. Tables are joined by key, one shard at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from shards.carried_columns import carried_spans, with_carried
from shards.errors import ShardError, nearest
from shards.keys import shard_name
from shards.media.video_facts import VIDEO_COLUMNS, read_videos
from shards.reader import column_names, read_table
from shards.schema import CLIPS, TEXT
from shards.scores.score_set import ScoreSet, score_sets
from shards.selections.selection import MARKS
from shards.selections.sql_expressions import ColumnPath, SqlExpression
from shards.storage.store import Store

if TYPE_CHECKING:
    import duckdb

Table = Literal["text", "marks", "media", "videos", "manifest"]
ROW: Final = "row number"
"""Column of `ClipColumns.clips` with the place of each clip among those that were asked for."""
_OF_SPANS: Final = ("source", "video_id", "shard", "start")
"""Columns of clips by which the manifest's columns are joined."""


@dataclass(frozen=True)
class NeededColumns:
    """The columns that expressions name, by the table that has them."""

    text: frozenset[str] = frozenset()
    media: frozenset[str] = frozenset()
    videos: frozenset[str] = frozenset()
    manifest: bool = False
    scores: frozenset[tuple[str, str]] = frozenset()
    """Set and column of the scores that are named alone."""
    scores_of_sets: frozenset[tuple[str, str]] = frozenset()
    """Set and column of the scores that are named as ``set.column``."""

    @property
    def sets(self) -> list[str]:
        """Names of the score sets, sorted."""
        return sorted({name for name, _ in self.scores | self.scores_of_sets})


@dataclass(frozen=True)
class ClipColumns:
    """The tables of one text layer whose columns can be named."""

    store: Store
    layer: str
    text: tuple[str, ...]
    """Columns of the text layer without marks."""
    score_sets: Mapping[str, ScoreSet]
    """By the name that they have in expressions."""

    @classmethod
    def open(cls, store: Store, layer: str, shard: int | None) -> ClipColumns:
        """Look up the columns; `shard` is any that the layer has, None if it has none yet.

        Raises:
            ShardError: a table is unreadable.
        """
        own = TEXT.names if shard is None else column_names(store, f"text/{layer}/{shard_name(shard)}.parquet")
        text = tuple(name for name in own if name not in MARKS)
        taken = {*_others(), *(name.lower() for name in text)}
        sets = (ScoreSet.open(store, name) for name in score_sets(store))
        return cls(store, layer, text, {_free(one.name, taken): one for one in sets if one.columns})

    @cached_property
    def _spans(self) -> pa.Table:
        return carried_spans(self.store, self._tables)

    @cached_property
    def _tables(self) -> Mapping[str, tuple[Table, str]]:
        """The table and the exact name of each column but scores and those of the manifest, by its name in SQL."""
        tables: dict[Table, Iterable[str]] = {
            "videos": (name for name in VIDEO_COLUMNS if name != "carried"),
            "media": CLIPS.names,
            "marks": MARKS,
            "text": self.text,
        }
        return {name.lower(): (table, name) for table, names in tables.items() for name in names}

    @property
    def names(self) -> list[str]:
        """All names that an expression may have, for messages."""
        scores = {name: one.columns for name, one in self.score_sets.items()}
        alone = [column for columns in scores.values() for column in columns]
        full = [f"{name}.{column}" for name, columns in scores.items() for column in columns]
        return [name for _, name in self._tables.values()] + alone + full + self._spans.column_names[5:]

    def needed(self, expressions: Iterable[SqlExpression]) -> NeededColumns:
        """Return the columns that expressions name.

        Raises:
            ShardError: there is no such column (the message has the nearest), or several score sets have it.
        """
        found: dict[str, set[Any]] = {name: set() for name in ("text", "media", "videos", "scores", "of_sets")}
        manifest = False
        for expression in expressions:
            for path in sorted(expression.columns):
                where, what = self._look_up(path, expression)
                manifest = manifest or where == "manifest"
                if where in found:
                    found[where].add(what)
        return NeededColumns(
            frozenset(found["text"] | (set(_OF_SPANS) if manifest else set())),
            frozenset(found["media"]),
            frozenset(found["videos"]),
            manifest,
            frozenset(found["scores"]),
            frozenset(found["of_sets"]),
        )

    def _look_up(self, path: ColumnPath, expression: SqlExpression) -> tuple[str, Any]:
        """Return the kind of table that has a column, and its exact name there."""
        head, sets = path[0].lower(), {name.lower(): name for name in self.score_sets}
        if len(path) > 1 and head in sets:
            names = {column.lower(): column for column in self.score_sets[sets[head]].columns}
            if (column := names.get(path[1].lower())) is not None:
                return "of_sets", (sets[head], column)
        if head in self._tables:
            return self._tables[head]
        scores = self.score_sets.items()
        owners = [(set_, name) for set_, one in scores for name in one.columns if name.lower() == head]
        if len(owners) == 1:
            return "scores", owners[0]
        if owners:
            choices = " or ".join(f"{name}.{column}" for name, column in owners)
            raise ShardError(
                f"{expression.option} {expression.text!r}: several score sets have {path[0]!r}; write {choices}"
            )
        if head in (name.lower() for name in self._spans.column_names[5:]):
            return "manifest", head
        name = ".".join(path[:2]) if head in sets else path[0]
        raise ShardError(f"{expression.option} {expression.text!r}: no column {name!r}{nearest(name, self.names)}")

    def clips(
        self, connection: duckdb.DuckDBPyConnection, shard: int, marks: pa.Table, needed: NeededColumns
    ) -> duckdb.DuckDBPyRelation:
        """Return the clips of a shard with the needed columns.

        Args:
            connection: of `shards.selections.sql_expressions.sandbox`.
            shard: its number.
            marks: its clips with their marks (`shards.schema.SELECTION`), which decide the order.
            needed: of `needed`.

        Returns:
            One row a clip, numbered by `ROW` from 0 in the order of `marks`.

        Raises:
            ShardError: a table is unreadable, lacks a column, or lacks clips.
        """
        table = self.table(shard, marks, needed)
        clips = connection.from_arrow(table.append_column(ROW, pa.array(range(table.num_rows), pa.int64())))
        return with_carried(connection, clips, self._spans) if needed.manifest else clips

    def table(self, shard: int, marks: pa.Table, needed: NeededColumns) -> pa.Table:
        """Return the clips of `clips` without the columns of the manifest, in the order of `marks`."""
        stem = shard_name(shard)
        own = sorted(needed.text | {"root_key"} if needed.videos else needed.text)
        texts = _aligned(self.store, f"text/{self.layer}/{stem}.parquet", marks["key"], own)
        table = marks
        for name in own:
            table = table if name in ("key", "shard") else table.append_column(name, texts[name])
        if needed.media:
            media = _aligned(self.store, f"media/{stem}.parquet", marks["key"], sorted(needed.media))
            for name in media.column_names:
                table = table.append_column(name, media[name])
        if needed.videos:
            videos = read_videos(self.store, shard)
            places = pc.index_in(table["root_key"], value_set=videos["root_key"].combine_chunks())
            for name in sorted(needed.videos):
                table = table.append_column(name, videos[name].take(places))
        return self._with_scores(table, shard, needed)

    def _with_scores(self, table: pa.Table, shard: int, needed: NeededColumns) -> pa.Table:
        for name in needed.sets:
            alone = sorted(column for one, column in needed.scores if one == name)
            full = sorted(column for one, column in needed.scores_of_sets if one == name)
            columns = list(dict.fromkeys([*alone, *full]))
            file = f"{self.score_sets[name].folder}/{shard_name(shard)}.parquet"
            scores = _aligned(self.store, file, table["key"], columns)
            for column in alone:
                table = table.append_column(column, _without_nan(scores[column]))
            if full:
                values = [_without_nan(scores[column]).combine_chunks() for column in full]
                table = table.append_column(name, pa.StructArray.from_arrays(values, names=full))
        return table


def _others() -> list[str]:
    """Return the names in SQL of the columns that every text layer has beside its own."""
    return [name.lower() for name in (*MARKS, *CLIPS.names, *VIDEO_COLUMNS)]


def _free(name: str, taken: Collection[str]) -> str:
    return f"scores_{name}" if name.lower() in taken else name


def _aligned(store: Store, name: str, keys: pa.ChunkedArray, columns: Sequence[str]) -> pa.Table:
    """Return columns of the table `name` for the clips `keys`, in their order.

    Raises:
        ShardError: the table is unreadable, lacks a column, or lacks a clip.
    """
    table = read_table(store, name, list(dict.fromkeys(["key", *columns])))
    if table.num_rows == len(keys) and table["key"].equals(keys):
        return table.select(list(columns))
    places = pc.index_in(keys, value_set=table["key"].combine_chunks())
    if places.null_count:
        raise ShardError(f"{store.root}: {name} lacks {places.null_count} of {len(keys)} clips; run `curate check`")
    return table.take(places).select(list(columns))


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with null in the place of NaN: both mean that there is no score."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
