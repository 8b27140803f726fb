"""Which clips of a text layer are exported, and what is said of each: the rows behind `shards.export.export_samples`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from shards.errors import ShardError, one_line
from shards.keys import shard_name
from shards.reader import read_table
from shards.schema import TEXT
from shards.storage.store import Store

Row = dict[str, Any]
Unit = Literal["clip", "root"]

_tree = pa.struct(
    [
        ("key", pa.string()),
        ("parent_key", pa.string()),
        ("level", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("offset", pa.float64()),  # seconds from the sample's first frame
        ("text", pa.string()),
    ]
)

EXPORT: Final = pa.schema(
    [
        *TEXT,
        pa.field("text", pa.string()),  # what stands in .txt
        pa.field("text_column", pa.string()),  # the column it was taken from
        pa.field("root_first_frame", pa.int32()),  # number, in the root, of the sample's first frame
        pa.field("tree", pa.list_(_tree)),  # all exported clips of a root; null where the sample is one clip
    ]
)
"""Columns of an exported sample: those of the text layer and four more.

`offset` and `num_frames` are those of the sample's own video.
"""

_FALLBACKS = ("grounded_text", "caption_summary", "caption", "subtitle_summary", "subtitle")
_STRINGS = tuple(field.name for field in TEXT if pa.types.is_string(field.type))


@dataclass(frozen=True)
class Selection:
    """Which clips, and which of their texts."""

    layer: str
    unit: Unit = "clip"
    where: str | None = None
    """A condition over the layer's columns in DuckDB's SQL."""
    keep_only: bool = True
    """Leave out what the filters dropped."""
    text: str = "grounded_text"
    """Column for `.txt`; where it is empty the next best text stands in."""

    def validate(self) -> None:
        """Refuse what can't work before any work is done.

        Raises:
            ShardError: `text` is no text column, or `where` is no condition over the columns.
        """
        if self.text not in _STRINGS:
            raise ShardError(f"--text {self.text}: no text column (choose one of {', '.join(_STRINGS)})")
        _keys_where(TEXT.empty_table(), self.where)


@dataclass(frozen=True)
class Picked:
    """The exported clips of one root, with where its bytes lie."""

    root_key: str
    byte_offset: int
    byte_size: int
    rows: Sequence[Row]
    """One a sample, with the columns of `EXPORT`; `offset` and `num_frames` are still those of the root."""


def select_rows(store: Store, shard: int, selection: Selection) -> list[Picked]:
    """The samples to make of one shard, root by root, in the order of its media.

    Raises:
        ShardError: a table is unreadable.
    """
    name = f"{shard_name(shard)}.parquet"
    table = read_table(store, f"text/{selection.layer}/{name}")
    wanted = _keys_where(table, selection.where)
    places = read_table(store, f"media/{name}", ["key", "byte_offset", "byte_size"]).to_pylist()
    spans = {row["key"]: (row["byte_offset"], row["byte_size"]) for row in places}
    by_root: dict[str, list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        if row["key"] in wanted and (row["keep"] or not selection.keep_only):
            by_root[row["root_key"]].append(_with_text(row, selection.text))
    picked = (
        Picked(root, *spans[root], rows if selection.unit == "clip" else _whole_tree(root, rows))
        for root, rows in by_root.items()
        if root in spans
    )
    return [one for one in picked if one.rows]


def _with_text(row: Row, preferred: str) -> Row:
    column = next((name for name in (preferred, *_FALLBACKS) if row[name]), None)
    return row | {
        "text": row[column] if column else None,
        "text_column": column,
        "root_first_frame": 0,
        "tree": None,
    }


def _whole_tree(root: str, rows: Sequence[Row]) -> list[Row]:
    """The root's own row with all of its tree in it; none where the root itself is not wanted."""
    tree: list[Mapping[str, Any]] = [{name: row[name] for name in _tree.names} for row in rows]
    return [row | {"tree": tree} for row in rows if row["key"] == root]


def _keys_where(table: pa.Table, where: str | None) -> set[str]:
    if where is None:
        return set(table["key"].to_pylist())
    import duckdb

    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        connection.register("clips", table)
        try:
            found = connection.execute(f"select key from clips where ({where})").fetchall()  # noqa: S608 - the user's own SQL over one table, shut off from files and network
        except duckdb.Error as error:
            raise ShardError(f"--where {where!r}: {one_line(error, keep='first')}") from None
    return {key for (key,) in found}
