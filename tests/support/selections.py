"""Selections for tests, written without curation's stage, and layers of schema version 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from shards.artifact import Artifact
from shards.keys import split_of
from shards.reader import read_artifact, read_table
from shards.schema import SELECTION
from shards.schema_1 import TEXT_1
from shards.selections.selection import MARKS, table_name
from shards.storage.store import Store
from shards.writer import commit_table


def select(store: Store, layer: str, val_percent: float = 1.0, name: str | None = None) -> None:
    """Write a selection of all shards of a layer (default name: the layer's); short root clips are not kept."""
    tables = [table for table in sorted(store.list(f"text/{layer}")) if table.endswith(".parquet")]
    clips = [row for table in tables for row in read_table(store, f"text/{layer}/{table}").to_pylist()]
    rows = [marks_of(clip, val_percent) for clip in clips]
    write_selection(store, layer, rows, name)


def write_selection(store: Store, layer: str, rows: Sequence[Mapping[str, Any]], name: str | None = None) -> None:
    """Write the selection of a layer with these rows."""
    folder = f"text/{layer}"
    tables = [f"{folder}/{table}" for table in sorted(store.list(folder)) if table.endswith(".parquet")]
    record = Artifact("select", "select-hash", inputs={table: read_artifact(store, table).digest for table in tables})
    with TemporaryDirectory() as scratch:
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=SELECTION)
        commit_table(store, Path(scratch), table_name(name or layer), table, record)


def marks_of(clip: Mapping[str, Any], val_percent: float) -> dict[str, Any]:
    """Return the row of a clip in a selection."""
    kept = clip["level"] != "short" or clip["parent_key"] is not None
    marks = {
        "keep": kept,
        "filter_reason": None if kept else "static",
        "split": split_of(clip["video_id"], val_percent),
    }
    return {"key": clip["key"], "shard": clip["shard"]} | marks


def marked_rows(root: str | Path, layer: str) -> list[dict[str, Any]]:
    """Return the rows of a layer with the marks of the selection of its name, joined in plain Python."""
    store = Store(root)
    tables = [table for table in sorted(store.list(f"text/{layer}")) if table.endswith(".parquet")]
    rows = [row for table in tables for row in read_table(store, f"text/{layer}/{table}").to_pylist()]
    marks = {row["key"]: row for row in read_table(store, table_name(layer)).to_pylist()}
    return [row | {name: marks[row["key"]][name] for name in MARKS} for row in rows]


def as_version_1(store: Store, layer: str) -> None:
    """Turn a layer and its selection into a layer of schema version 1, whose tables hold the marks."""
    rows = {row["key"]: row for row in marked_rows(store.root, layer)}
    for table in [table for table in sorted(store.list(f"text/{layer}")) if table.endswith(".parquet")]:
        name = f"text/{layer}/{table}"
        own = [rows[key] for key in read_table(store, name, ["key"])["key"].to_pylist()]
        with TemporaryDirectory() as scratch:
            texts = pa.Table.from_pylist(own, schema=TEXT_1)
            commit_table(store, Path(scratch), name, texts, read_artifact(store, name), TEXT_1)
    store.delete(table_name(layer))
