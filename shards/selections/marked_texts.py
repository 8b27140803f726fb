"""The rows of a text layer with their marks (`keep`, `filter_reason`, `split`): the one way to read both.

The marks come from a selection: the one that is named, otherwise the one that has the layer's name. A layer of schema
version 1 holds marks itself; they count if there is no selection.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import column_names, read_table
from shards.schema_1 import TEXT_1
from shards.selections.selection import MARKS, STAGE, Selection, selections
from shards.storage.store import Store


def find_selection(store: Store, layer: str, name: str | None = None) -> Selection | None:
    """Return the selection that marks the clips of a text layer; None if there is none, or if the layer does it itself.

    Args:
        store: the DIR.
        layer: name of the text layer.
        name: name of the selection; None: the layer's name.

    Raises:
        ShardError: there is no selection of the given name, or it is unreadable.
    """
    try:
        return Selection.open(store, name or layer)
    except FileNotFoundError:
        if name is None:
            return None
    there_are = ", ".join(selections(store)) or "none yet"
    raise ShardError(f"--select {name}: {store.root} has no such selection (there are: {there_are})")


def selection_of(store: Store, layer: str, name: str | None = None) -> Selection | None:
    """Return the selection that marks the clips of a text layer; None: the layer does it itself.

    Args:
        store: the DIR.
        layer: name of the text layer.
        name: name of the selection; None: the layer's name.

    Raises:
        ShardError: there is no selection, and the layer has no marks.
    """
    selection = find_selection(store, layer, name)
    if selection is None and not marks_itself(store, layer):
        raise ShardError(
            f"{store.root}: no selection marks the clips of the text layer {layer!r}; make one in seconds with "
            f"`curate run PIPELINE --output {store.root} --layer {layer} --stages {STAGE}`"
        )
    return selection


def marks_itself(store: Store, layer: str) -> bool:
    """Return True if the tables of a text layer hold the marks: those of schema version 1, and an empty layer."""
    names = sorted(name for name in store.list(f"text/{layer}") if name.endswith(".parquet"))
    return not names or set(MARKS) <= set(column_names(store, f"text/{layer}/{names[0]}"))


def read_texts(
    store: Store, layer: str, shard: int, selection: Selection | None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the text rows of a shard with their marks.

    Args:
        store: the DIR.
        layer: name of the text layer.
        shard: number of the shard.
        selection: of `selection_of`.
        columns: columns of the text layer and marks, in any order; None: all.

    Raises:
        ShardError: a table is unreadable, lacks a column, or lacks clips of the other.
        FileNotFoundError: a table is gone.
    """
    name = f"text/{layer}/{shard_name(shard)}.parquet"
    if selection is None or not (columns is None or set(columns) & set(MARKS)):
        return read_table(store, name, columns)
    own = None if columns is None else list(dict.fromkeys(["key", *(name for name in columns if name not in MARKS)]))
    texts = read_table(store, name, own)
    texts = texts.drop_columns([mark for mark in MARKS if mark in texts.column_names])
    marked = _with_marks(texts, selection, shard, name)
    return marked if columns is None else marked.select(list(columns))


def _with_marks(texts: pa.Table, selection: Selection, shard: int, name: str) -> pa.Table:
    rows = selection.rows(shard)
    numbers = pc.index_in(texts["key"], value_set=rows["key"].combine_chunks())
    if numbers.null_count:
        raise ShardError(
            f"{selection.store.root}: {selection.file} lacks {numbers.null_count} of the {texts.num_rows} clips of "
            f"{name}; {selection.remedy}"
        )
    for mark in MARKS:
        texts = texts.append_column(TEXT_1.field(mark), rows[mark].take(numbers).cast(TEXT_1.field(mark).type))
    return texts
