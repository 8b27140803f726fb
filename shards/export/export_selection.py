"""The clips of a text layer that an export takes: filters, a condition in SQL, one sample a clip or one a root."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from shards.errors import ShardError
from shards.export.export_rows import ExportRow, export_row, tree_of
from shards.keys import shard_name
from shards.reader import read_table
from shards.schema import TEXT
from shards.selections.clip_columns import ClipColumns
from shards.selections.clip_condition import ClipCondition
from shards.selections.marked_texts import read_texts
from shards.selections.selection import Selection
from shards.storage.store import Store
from shards.storage.tar import ByteSpan
from shards.video_facts import read_videos, videos_by_root

Unit = Literal["clip", "root"]
_STRINGS: Final = tuple(field.name for field in TEXT if pa.types.is_string(field.type))


@dataclass(frozen=True)
class ExportSelection:
    """The clips to export, and their text."""

    layer: str
    unit: Unit = "clip"
    where: str | None = None
    """A condition in DuckDB's SQL over the columns of the layer, media, videos (``video_…``), the manifest, scores."""
    keep_only: bool = True
    """Leave out clips that the filters dropped."""
    text: str = "grounded_text"
    """Column for `.txt`; a clip whose column is empty has no `.txt`."""
    selection: str | None = None
    """Name of the selection that says which clips to keep; None: that of the layer."""

    def condition(self, store: Store, shards: Sequence[int]) -> ClipCondition | None:
        """Return the condition of `where`, if there is one, after a look at `text`; before any work is done.

        Args:
            store: the DIR.
            shards: those of the layer.

        Raises:
            ShardError: `text` is no text column, or `where` is no condition over the columns.
        """
        if self.text not in _STRINGS:
            raise ShardError(f"--text {self.text}: no text column (choose one of {', '.join(_STRINGS)})")
        if self.where is None:
            return None
        return ClipCondition(ClipColumns.open(store, self.layer, next(iter(shards), None)), self.where)


@dataclass(frozen=True)
class SelectedRoot:
    """The exported clips of one root."""

    root_key: str
    mp4: ByteSpan
    """The root's video in the shard's tar."""
    rows: Sequence[ExportRow]
    """One row a sample; `offset` and `num_frames` are still those of the root."""


def select_rows(
    store: Store, shard: int, clips: ExportSelection, marks: Selection | None, condition: ClipCondition | None
) -> list[SelectedRoot]:
    """Return the samples to make of one shard, root by root, in the order of its media.

    Args:
        store: the DIR.
        shard: its number.
        clips: the clips to export.
        marks: of `shards.selections.marked_texts.selection_of`.
        condition: of `ExportSelection.condition`.

    Raises:
        ShardError: a table is unreadable.
    """
    name = f"{shard_name(shard)}.parquet"
    table = read_texts(store, clips.layer, shard, marks)
    known = videos_by_root(read_videos(store, shard))
    wanted = None if condition is None else condition.keys(shard, table)
    media = read_table(store, f"media/{name}", ["key", "byte_offset", "byte_size"]).to_pylist()
    spans = {row["key"]: ByteSpan(row["byte_offset"], row["byte_size"]) for row in media}
    by_root: dict[str, list[ExportRow]] = defaultdict(list)
    for row in table.to_pylist():
        if (wanted is None or row["key"] in wanted) and (row["keep"] or not clips.keep_only):
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
