"""A DIR as a trainer reads it: one text layer over the media with the marks of a selection, shard by shard.

Faults of the folder or the layer are reported when it is opened, in one line; afterwards a trainer reads rows by shard
and videos by byte range.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import FOOTER_KEY, Artifact
from shards.errors import ShardError
from shards.index import read_index
from shards.keys import shard_name
from shards.manifest import MANIFEST, Manifest, read_manifest, read_stage
from shards.reader import read_table, shards_in, text_layers
from shards.removal.unfinished import refuse_unfinished
from shards.selections.marked_texts import read_texts, selection_of
from shards.selections.selection import Selection
from shards.storage.store import Store
from shards.storage.tar import read_span


class Dataset:
    """One text layer of a DIR with its marks, for reading; can be pickled into worker processes."""

    def __init__(self, root: str | Path, layer: str, selection: str | None = None) -> None:
        """Open a DIR.

        Args:
            root: path or fsspec URL of the DIR.
            layer: name of the text layer.
            selection: name of the selection; None: the layer's name, or the layer's own marks (schema version 1).

        Raises:
            ShardError: not a DIR, no such layer or selection (the message lists those that exist), a layer without
                marks, another schema version, or an interrupted removal.
        """
        self.store = Store(root)
        self.layer = layer
        refuse_unfinished(self.store)
        manifest = read_manifest(self.store)
        if manifest is None:
            raise ShardError(f"{self.store.root}: no {MANIFEST}; this is no folder that `curate run` wrote")
        self.manifest: Manifest = manifest
        layers = text_layers(self.store)
        if layer not in layers:
            there_are = ", ".join(layers) or "none yet; run `curate` with the stage rewrite"
            raise ShardError(f"{self.store.root}: no text layer {layer!r} (there are: {there_are})")
        mark = read_stage(self.store, f"text/{layer}")
        self._made_with = None if mark is None else mark.content_hash
        self.selection: Selection | None = selection_of(self.store, layer, selection)

    def __repr__(self) -> str:
        return f"Dataset({self.store.root!r}, {self.layer!r})"

    @cached_property
    def index(self) -> pa.Table:
        """The index (`shards.schema.INDEX`) of the shards that have media, texts and marks, in order.

        Raises:
            ShardError: the DIR has no index yet.
        """
        index = read_index(self.store)
        marked = sorted(set(self.text_shards) - set(self.unmarked_shards))
        return index.filter(pc.is_in(index["shard"], value_set=pa.array(marked, pa.int32())))

    @property
    def text_shards(self) -> list[int]:
        """Numbers of the shards that have texts, in order; those without media or marks included."""
        return shards_in(self.store.list(f"text/{self.layer}"))

    @property
    def unmarked_shards(self) -> list[int]:
        """Numbers of the shards that have texts but are not in the selection yet, in order; they can't be read."""
        return [] if self.selection is None else sorted(set(self.text_shards) - self.selection.shards)

    @property
    def shards(self) -> list[int]:
        """Numbers of the shards that can be read, in order."""
        return list(self.index["shard"].to_pylist())

    def texts(self, shard: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the text rows of a shard (`shards.schema.TEXT`) with their marks, or some of these columns.

        Raises:
            ShardError: a table is unreadable, lacks a column, or the selection lacks a clip; or the layer was replaced
                since it was opened, so that its shards could be of two makes.
        """
        table = read_texts(self.store, self.layer, shard, self.selection, columns)
        record = (table.schema.metadata or {}).get(FOOTER_KEY.encode())
        if record is not None and self._made_with not in (None, Artifact.from_json(record).content_hash):
            raise ShardError(
                f"{self.store.root}: the text layer {self.layer!r} is being replaced, or was since it was opened; "
                "open it again when the run has ended"
            )
        return table

    def clips(self, shard: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the media rows of a shard (`shards.schema.CLIPS`), or some of their columns.

        Raises:
            ShardError: the table is unreadable, or lacks a column.
        """
        return read_table(self.store, f"media/{shard_name(shard)}.parquet", columns)

    def root_bytes(self, shard: int, byte_offset: int, byte_size: int) -> bytes:
        """Return the mp4 of one root, by the byte range in its rows.

        Raises:
            ShardError: the tar ends before it.
        """
        return read_span(self.store, f"media/{shard_name(shard)}.tar", byte_offset, byte_size)

    def __getstate__(self) -> dict[str, Any]:
        own = {"store": self.store, "layer": self.layer, "manifest": self.manifest, "selection": self.selection}
        return {**own, "_made_with": self._made_with}
