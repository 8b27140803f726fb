"""Held-out clips of curated shards as a retrieval benchmark: the text of each clip is a query for that clip.

Only clips of one level are compared with each other, as in the paper's Table 16; by default the roots, so that no clip
competes with a clip that contains it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, get_args

import pyarrow as pa
import pyarrow.compute as pc

from runtime.errors import UserError
from shards.dataset import Dataset
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import text_layers
from shards.schema import TEXT
from shards.storage.store import Store
from training.data.clip_tasks import MediaRef
from training.data.sources.shard_tables import TEXT_COLUMNS
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet, VideoItem
from training.evaluation.video.evaluation_settings import Clips

NAME: Final = "shards"

CLIPS: tuple[Clips, ...] = get_args(Clips)

_COLUMNS = ("key", "parent_key", "level", "start", "end", "offset", "keep", "split")


class _ClipSpan(NamedTuple):
    """A clip's key and its position in its media."""

    key: str
    start: float
    """Seconds of the video."""
    end: float
    """Seconds of the video."""
    offset: float
    """Seconds from the first frame of the media to the clip."""


class _ByteRange(NamedTuple):
    """Bytes of a clip's media in the tar of its shard."""

    offset: int
    size: int


def read(
    roots: Sequence[str],
    columns: Sequence[str],
    *,
    layer: str | None = None,
    selection: str | None = None,
    split: Literal["train", "val"] = "val",
    clips: Clips = "root",
    limit: int | None = None,
) -> RetrievalSet:
    """Read the clips of a split that are kept and have a text.

    Args:
        roots: folders that `curate run` wrote, by path or fsspec URL.
        columns: text columns in order of preference; the first that is not empty gives the clip's text.
        layer: text layer; None: the only one of each folder.
        selection: says which clips to keep, and their split; None: the selection that is named as the layer.
        split: split of the videos.
        clips: root clips, or all of one level.
        limit: highest number of clips, in order of shards; later shards are not read.

    Raises:
        UserError: a column holds no text, a folder has several layers and none is named, or no clip is left.
        ShardError: not a curated folder, no such layer, selection or column, no marks, or another schema version.
    """
    for column in columns:
        if column in TEXT.names and column not in TEXT_COLUMNS:
            raise UserError(f"--text {column}: holds no text (columns that do: {', '.join(TEXT_COLUMNS)})")
    items: list[VideoItem] = []
    queries: list[str] = []
    for root in roots:
        for item, text in _clips(_open(root, layer, selection), columns, split, clips):
            if limit is not None and len(items) >= limit:
                break
            items.append(item)
            queries.append(text)
    if not items:
        where = " ".join(roots)
        raise UserError(
            f"--shards {where}: no kept {clips} clip of split {split!r} has a text in {' or '.join(columns)}; "
            "name another column with --text, other clips with --clips, or --split train"
        )
    return RetrievalSet(NAME, split, tuple(items), tuple(queries), tuple(range(len(items))))


def _open(root: str, layer: str | None, selection: str | None) -> Dataset:
    if layer is None:
        layers = text_layers(Store(root))
        if len(layers) > 1:
            raise UserError(f"--shards {root}: has several text layers; name one with --layer: {', '.join(layers)}")
        layer = layers[0] if layers else ""
    return Dataset(root, layer, selection)


def _clips(dataset: Dataset, columns: Sequence[str], split: str, clips: Clips) -> Iterator[tuple[VideoItem, str]]:
    """Yield the kept clips that have a text, shard by shard."""
    for shard in dataset.shards:
        rows = dataset.texts(shard, [*_COLUMNS, *(column for column in columns if column not in _COLUMNS)])
        split_of, level_of = (rows[name].cast(pa.string()) for name in ("split", "level"))
        of_kind = pc.is_null(rows["parent_key"]) if clips == "root" else pc.equal(level_of, clips)
        chosen = rows.filter(pc.and_(pc.and_(rows["keep"], pc.equal(split_of, split)), of_kind)).to_pylist()
        if not chosen:
            continue
        media = dataset.clips(shard, ["key", "byte_offset", "byte_size"]).to_pylist()
        ranges = {row["key"]: _ByteRange(row["byte_offset"], row["byte_size"]) for row in media}
        tar = dataset.store.path(f"media/{shard_name(shard)}.tar")
        for row in chosen:
            text = next((row[column].strip() for column in columns if (row[column] or "").strip()), None)
            if text is not None:
                span = _ClipSpan(row["key"], row["start"], row["end"], row["offset"])
                yield _item(span, ranges.get(span.key), tar, dataset), text


def _item(span: _ClipSpan, range_: _ByteRange | None, tar: str, dataset: Dataset) -> VideoItem:
    if range_ is None:
        raise ShardError(f"{dataset.store.root}: clip {span.key} has texts but no media; run `curate check`")
    seconds = span.end - span.start
    return VideoItem(span.key, MediaRef(tar, *range_), span.offset, span.offset + seconds, seconds)
