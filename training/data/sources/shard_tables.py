"""Reads the tables of DIRs for training: the list of shards, and the rows of a window.

Errors in a DIR, a text layer or a column are reported here, when a run starts. Rows are converted to Python values
only for the roots that are used: every rank reads a window's tables, but draws only its own roots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from runtime.errors import UserError, nearest
from runtime.log import get_logger
from shards.dataset import Dataset
from shards.errors import ShardError
from shards.keys import shard_name
from shards.manifest import read_stage
from shards.reader import text_layers
from shards.schema import TEXT, Level
from shards.storage.store import Store
from training.data.clip_tasks import MediaRef

_THREADS = 8
_CLIP_COLUMNS = ("key", "parent_key", "level", "start", "end", "offset", "keep")
_ROW_COLUMNS = (*_CLIP_COLUMNS, "root_key", "video_id", "split")
TEXT_COLUMNS: Final = ("grounded_text", "caption_summary", "subtitle_summary", "caption", "subtitle")
"""Columns of a text table that hold texts about a clip; other columns of strings hold keys and origins."""

_SHARDS_SAMPLED = 16  # of which the shares of texts are counted
_LOG = get_logger(__name__)


@dataclass(frozen=True)
class ClipRow:
    """One clip of a text table."""

    key: str
    parent_key: str | None
    """Key of the clip that contains this one; None for a root."""
    level: Level
    start: float
    """Seconds of the original video."""
    end: float
    """Seconds of the original video."""
    offset: float
    """Seconds from the root's first frame."""
    keep: bool
    """False if curation marked the clip as not to keep."""
    texts: Mapping[str, str | None]
    """Text by column, for the columns that were asked for."""


@dataclass(frozen=True)
class ShardRef:
    """One shard of a DIR that has all of the chosen text layers."""

    datasets: Mapping[str, Dataset]
    """By text layer."""
    number: int
    digest: str
    media_bytes: int
    folder: str
    """The DIR, as the user named it."""

    @property
    def tar(self) -> str:
        """Path or URL of the tar of roots."""
        return self.dataset.store.path(f"media/{shard_name(self.number)}.tar")

    @property
    def dataset(self) -> Dataset:
        """The DIR with any of the layers: for data that does not depend on texts."""
        return next(iter(self.datasets.values()))


@dataclass(frozen=True)
class OpenShards:
    """The shards of all DIRs, and the text layers to draw from."""

    shards: tuple[ShardRef, ...]
    layers: Mapping[str, float]
    """Weight by layer."""
    marks: tuple[str, ...]
    """Content hash of each text layer in each DIR, with the digest of its selection if it has one."""


def open_shards(roots: Sequence[str], layers: Mapping[str, float] | None, selection: str | None = None) -> OpenShards:
    """Open DIRs with their text layers.

    Args:
        roots: paths or URLs of DIRs.
        layers: weight by text layer; None: the only layer of the DIRs.
        selection: says which clips to keep, and their split; None: the selection that is named as the layer.

    Raises:
        UserError: no DIR given, several layers and none named, or a DIR without a usable shard.
        ShardError: not a DIR, another schema version, no such layer or selection, or no marks for a layer.
    """
    if not roots:
        raise UserError("--shards: name at least one folder that `curate run` wrote")
    chosen = dict(sorted(layers.items())) if layers else {_only_layer(roots): 1.0}  # draws depend on the order
    shards: list[ShardRef] = []
    marks: list[str] = []
    for root in roots:
        datasets = {layer: Dataset(root, layer, selection) for layer in chosen}
        shards += _shards_of(root, datasets)
        marks += map(_mark, datasets.values())
    return OpenShards(tuple(shards), chosen, tuple(marks))


def check_column(setting: str, column: str) -> str:
    """Return the name of a text column after checking that there is one of that name.

    Args:
        setting: name of the setting, for messages.
        column: name of the column.

    Raises:
        UserError: there is no such column, or it has no texts; the message lists the text columns.
    """
    if column not in TEXT_COLUMNS:
        known = f" (text columns: {', '.join(TEXT_COLUMNS)})" if column in TEXT.names else nearest(column, TEXT_COLUMNS)
        raise UserError(f"{setting}={column!r}: no text column of that name{known}")
    return column


def column_shares(shards: Sequence[ShardRef], split: str, only_kept: bool) -> dict[str, float]:
    """Return the share of the clips of a split that have a text, by column of `TEXT_COLUMNS`.

    Args:
        shards: of which some, at equal distances, are read; the others only until one has clips to train on.
        split: `train` or `val`.
        only_kept: count only clips that curation marked as to keep.

    Raises:
        ShardError: a table is missing or unreadable.
    """
    step = max(1, len(shards) // _SHARDS_SAMPLED)
    others = [shard for number, shard in enumerate(shards) if number % step]
    held: Counter[str] = Counter()
    clips = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for part in (shards[::step], *([shard] for shard in others)):
            if clips:
                break
            chosen = [(shard, layer) for shard in part for layer in shard.datasets]
            for kept in pool.map(lambda pair: _to_train_on(pair[0], pair[1], split, only_kept), chosen):
                clips += len(kept)
                texts = {name: pc.greater(pc.utf8_length(kept[name]), 0) for name in TEXT_COLUMNS}
                held.update({name: pc.sum(filled).as_py() or 0 for name, filled in texts.items()})
    return {name: held[name] / max(1, clips) for name in TEXT_COLUMNS}


def _to_train_on(shard: ShardRef, layer: str, split: str, only_kept: bool) -> pa.Table:
    """Return the texts of a shard's clips of a split; only of those that are kept if `only_kept`."""
    table = rows_of_split(read_shard(shard, layer, ["keep", "split", *TEXT_COLUMNS]), split)
    return table.filter(table["keep"]) if only_kept else table


def load_shard(shard: ShardRef, split: str, columns: Sequence[str], chosen: bool = False) -> LoadedShard:
    """Read the rows of a shard's split with the given text columns.

    Args:
        shard: to read.
        split: `train` or `val`.
        columns: of texts.
        chosen: leave out roots without a kept clip.

    Raises:
        ShardError: a table is missing or unreadable, or a root of the texts has no media.
    """
    wanted = sorted({*_ROW_COLUMNS, *columns})
    layers = {
        layer: _LayerRows(rows_of_split(read_shard(shard, layer, wanted), split), columns) for layer in shard.datasets
    }
    media = read_shard(shard, None, ["key", "parent_key", "byte_offset", "byte_size"])
    media = media.filter(pc.is_null(media["parent_key"]))
    keys, offsets, sizes = column_lists(media, "key", "byte_offset", "byte_size")
    spans = dict(zip(keys, zip(offsets, sizes, strict=True), strict=True))
    first = next(iter(layers.values())).table
    roots = first.filter(pc.is_null(first["parent_key"])).sort_by("root_key")
    if chosen:
        roots = roots.filter(pc.is_in(roots["root_key"], value_set=first.filter(first["keep"])["root_key"].unique()))
    keys, videos = column_lists(roots, "root_key", "video_id")
    if missing := [key for key in keys if key not in spans]:
        raise ShardError(f"{shard.tar}: no media for the root {missing[0]} of its texts; run `curate check`")
    return LoadedShard(shard, keys, videos, [spans[key] for key in keys], layers)


@dataclass(frozen=True)
class LoadedShard:
    """The roots of one shard's split, in order of their keys."""

    ref: ShardRef
    keys: list[str]
    videos: list[str]
    spans: list[tuple[int, int]]
    """Byte offset and size of each root in the tar."""
    layers: Mapping[str, _LayerRows]

    def media(self, root: int) -> MediaRef:
        """Return the address of a root's video."""
        offset, size = self.spans[root]
        return MediaRef(self.ref.tar, offset, size)

    def rows(self, root: int, layer: str) -> list[ClipRow]:
        """Return the clips of a root in a text layer, the root itself first."""
        return self.layers[layer].of(self.keys[root])


class _LayerRows:
    """The rows of one text layer of a shard, indexed by root."""

    def __init__(self, table: pa.Table, columns: Sequence[str]) -> None:
        self.table, self._columns = table, columns
        roots = table["root_key"].to_numpy(zero_copy_only=False).astype(str)
        names, numbers = np.unique(roots, return_inverse=True)
        self._order: NDArray[np.intp] = np.argsort(numbers, kind="stable")
        self._ends = np.cumsum(np.bincount(numbers, minlength=len(names)))
        self._number_of = {str(name): number for number, name in enumerate(names)}

    def of(self, root_key: str) -> list[ClipRow]:
        """Return the rows of a root, the root itself first; none if the layer lacks the root."""
        number = self._number_of.get(root_key)
        if number is None:
            return []
        numbers = self._order[self._ends[number - 1] if number else 0 : self._ends[number]]
        rows = [self._clip(row) for row in self.table.take(pa.array(numbers)).to_pylist()]
        return sorted(rows, key=lambda row: row.parent_key is not None)

    def _clip(self, row: Mapping[str, Any]) -> ClipRow:
        texts = {column: row[column] for column in self._columns}
        return ClipRow(**{name: row[name] for name in _CLIP_COLUMNS}, texts=texts)


def _only_layer(roots: Sequence[str]) -> str:
    layers = sorted({layer for root in roots for layer in text_layers(Store(root))})
    if len(layers) > 1:
        raise UserError(f"--shards {' '.join(roots)}: several text layers ({', '.join(layers)}); set data.layers")
    if not layers:
        Dataset(roots[0], "")  # raises an error if the DIR itself is unusable
        raise UserError(f"--shards {' '.join(roots)}: no text layer yet; run `curate` with the stage rewrite")
    return layers[0]


def _mark(dataset: Dataset) -> str:
    stage, selection = read_stage(dataset.store, f"text/{dataset.layer}"), dataset.selection
    return (stage.content_hash if stage else "") + ("" if selection is None else f"+{selection.digest}")


def _shards_of(root: str, datasets: Mapping[str, Dataset]) -> list[ShardRef]:
    common = set.intersection(*(set(dataset.shards) for dataset in datasets.values()))
    index = next(iter(datasets.values())).index.to_pylist()
    refs = [
        ShardRef(datasets, row["shard"], row["digest"], row["media_bytes"], root)
        for row in index
        if row["shard"] in common
    ]
    if unmarked := {shard for dataset in datasets.values() for shard in dataset.unmarked_shards}:
        _LOG.warning("%s: %d shards are left out: no selection marks their clips yet", root, len(unmarked))
    if not refs:
        raise UserError(f"--shards {root}: no shard has both media and the text layers {', '.join(datasets)}")
    if left := len({shard for dataset in datasets.values() for shard in dataset.shards} - common):
        _LOG.warning("%s: %d shards lack one of the text layers %s and are left out", root, left, ", ".join(datasets))
    return refs


def rows_of_split(table: pa.Table, split: str) -> pa.Table:
    """Return the rows of a table with marks that are of a split."""
    return table.filter(pc.equal(pc.cast(table["split"], pa.string()), split))


def read_shard(shard: ShardRef, layer: str | None, columns: Sequence[str]) -> pa.Table:
    """Read columns of a shard's text layer, or of its media if `layer` is None.

    Raises:
        ShardError: the table is missing or unreadable.
    """
    dataset = shard.dataset if layer is None else shard.datasets[layer]
    try:
        return dataset.clips(shard.number, columns) if layer is None else dataset.texts(shard.number, columns)
    except FileNotFoundError:
        what = "media" if layer is None else f"text/{layer}"
        raise ShardError(f"{dataset.store.root}: {what}/{shard_name(shard.number)}.parquet is gone") from None


def column_lists(table: pa.Table, *names: str) -> list[list[Any]]:
    """Return the values of each column."""
    return [table[name].to_pylist() for name in names]
