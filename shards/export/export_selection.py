"""The clips of a text layer that an export takes: filters, a condition in SQL, one sample a clip or one a root."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from shards.carried_columns import with_carried
from shards.errors import ShardError, one_line
from shards.export.export_rows import MARKED_TEXT, ExportRow, export_row, tree_of
from shards.keys import shard_name
from shards.reader import read_table
from shards.schema import TEXT, VIDEOS
from shards.selections.marked_texts import read_texts
from shards.selections.selection import Selection
from shards.storage.store import Store
from shards.storage.tar import ByteSpan
from shards.video_facts import read_videos, videos_by_root, with_videos

Unit = Literal["clip", "root"]
_STRINGS: Final = tuple(field.name for field in TEXT if pa.types.is_string(field.type))


@dataclass(frozen=True)
class ExportSelection:
    """The clips to export, and their text."""

    layer: str
    unit: Unit = "clip"
    where: str | None = None
    """A condition in DuckDB's SQL over the columns of the layer, of its videos (``video_…``) and of the manifest."""
    keep_only: bool = True
    """Leave out clips that the filters dropped."""
    text: str = "grounded_text"
    """Column for `.txt`; a clip whose column is empty has no `.txt`."""
    selection: str | None = None
    """Name of the selection that says which clips to keep; None: that of the layer."""

    def validate(self, carried: pa.Table) -> None:
        """Refuse a selection that can't work, before any work is done.

        Args:
            carried: what the DIR's sources carry, of `shards.carried_columns.carried_spans`.

        Raises:
            ShardError: `text` is no text column, or `where` is no condition over the columns.
        """
        if self.text not in _STRINGS:
            raise ShardError(f"--text {self.text}: no text column (choose one of {', '.join(_STRINGS)})")
        _keys_where(MARKED_TEXT.empty_table(), VIDEOS.empty_table(), self.where, carried)


@dataclass(frozen=True)
class SelectedRoot:
    """The exported clips of one root."""

    root_key: str
    mp4: ByteSpan
    """The root's video in the shard's tar."""
    rows: Sequence[ExportRow]
    """One row a sample; `offset` and `num_frames` are still those of the root."""


def select_rows(
    store: Store, shard: int, clips: ExportSelection, marks: Selection | None, carried: pa.Table
) -> list[SelectedRoot]:
    """Return the samples to make of one shard, root by root, in the order of its media.

    Args:
        store: the DIR.
        shard: its number.
        clips: the clips to export.
        marks: of `shards.selections.marked_texts.selection_of`.
        carried: what the DIR's sources carry, of `shards.carried_columns.carried_spans`.

    Raises:
        ShardError: a table is unreadable.
    """
    name = f"{shard_name(shard)}.parquet"
    table = read_texts(store, clips.layer, shard, marks)
    videos = read_videos(store, shard)
    known = videos_by_root(videos)
    wanted = _keys_where(table, videos, clips.where, carried)
    media = read_table(store, f"media/{name}", ["key", "byte_offset", "byte_size"]).to_pylist()
    spans = {row["key"]: ByteSpan(row["byte_offset"], row["byte_size"]) for row in media}
    by_root: dict[str, list[ExportRow]] = defaultdict(list)
    for row in table.to_pylist():
        if row["key"] in wanted and (row["keep"] or not clips.keep_only):
            by_root[row["root_key"]].append(export_row(row, known[row["root_key"]], clips.text))
    selected = (
        SelectedRoot(root, spans[root], rows if clips.unit == "clip" else _with_tree(root, rows))
        for root, rows in by_root.items()
        if root in spans
    )
    return [one for one in selected if one.rows]


def _with_tree(root: str, rows: Sequence[ExportRow]) -> list[ExportRow]:
    """Return the row of the root with all its exported clips as a tree; empty if the root itself is not exported."""
    return [{**row, "tree": tree_of(rows)} for row in rows if row["key"] == root]


def _keys_where(table: pa.Table, videos: pa.Table, where: str | None, carried: pa.Table) -> set[str]:
    """Return the keys of the rows that fulfil a condition in SQL.

    Raises:
        ShardError: DuckDB refuses the condition.
    """
    if where is None:
        return set(table["key"].to_pylist())
    import duckdb

    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        clips = with_videos(connection.from_arrow(table), connection.from_arrow(videos))
        clips = with_carried(connection, clips, carried)
        try:  # the user's own SQL, parsed as one expression over one table, shut off from files and network
            rows = clips.filter(duckdb.SQLExpression(where)).select("key").fetchall()
        except duckdb.Error as error:
            raise ShardError(f"--where {where!r}: {one_line(error, keep='first')}") from None
    return {key for (key,) in rows}
