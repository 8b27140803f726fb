"""Held-out clips of curated DIRs as a retrieval benchmark: each clip's text asks for the clip.

Clips of one level are compared with each other, as in the paper's Table 16; by default roots, so that no clip stands
beside one that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

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
from training.evaluation.benchmarks.retrieval_set import RetrievalSet, VideoItem
from training.evaluation.video.evaluation_settings import Clips

NAME = "shards"

CLIPS: tuple[Clips, ...] = get_args(Clips)

_FACTS = ("key", "parent_key", "level", "start", "end", "offset", "keep", "split")


def read(
    roots: Sequence[str],
    columns: Sequence[str],
    *,
    layer: str | None = None,
    split: Literal["train", "val"] = "val",
    clips: Clips = "root",
    limit: int | None = None,
) -> RetrievalSet:
    """Read the clips of a split that are kept and have a text.

    Args:
        roots: DIRs, by path or fsspec URL.
        columns: text columns in order of preference; the first that holds something is the clip's text.
        layer: text layer; None: the only one of each DIR.
        split: of the videos.
        clips: root clips, or all of one level.
        limit: at most so many, in order of shards; shards beyond are not read.

    Raises:
        UserError: a column holds no text, a DIR has several layers and none is named, or no clip is left.
        ShardError: no DIR, no such layer or column, or another schema version.
    """
    for column in columns:
        if column in TEXT.names and TEXT.field(column).type != pa.string():
            texts = ", ".join(name for name in TEXT.names if TEXT.field(name).type == pa.string())
            raise UserError(f"--text {column}: holds no text (columns that do: {texts})")
    items: list[VideoItem] = []
    texts_found: list[str] = []
    for root in roots:
        for item, text in _clips(_open(root, layer), columns, split, clips):
            if limit is not None and len(items) >= limit:
                break
            items.append(item)
            texts_found.append(text)
    if not items:
        where = " ".join(roots)
        raise UserError(
            f"--shards {where}: no kept {clips} clip of split {split!r} has a text in {' or '.join(columns)}; "
            "name another column with --text, other clips with --clips, or --split train"
        )
    return RetrievalSet(NAME, split, tuple(items), tuple(texts_found), tuple(range(len(items))))


def _open(root: str, layer: str | None) -> Dataset:
    if layer is None:
        layers = text_layers(Store(root))
        if len(layers) > 1:
            raise UserError(f"--shards {root}: has several text layers; name one with --layer: {', '.join(layers)}")
        layer = layers[0] if layers else ""
    return Dataset(root, layer)


def _clips(dataset: Dataset, columns: Sequence[str], split: str, clips: Clips) -> Iterator[tuple[VideoItem, str]]:
    """Kept clips with a text, shard by shard."""
    for shard in dataset.shards:
        rows = dataset.texts(shard, [*_FACTS, *(column for column in columns if column not in _FACTS)])
        split_of, level_of = (rows[name].cast(pa.string()) for name in ("split", "level"))
        of_kind = pc.is_null(rows["parent_key"]) if clips == "root" else pc.equal(level_of, clips)
        found = rows.filter(pc.and_(pc.and_(rows["keep"], pc.equal(split_of, split)), of_kind)).to_pylist()
        if not found:
            continue
        places = {row["key"]: row for row in dataset.clips(shard, ["key", "byte_offset", "byte_size"]).to_pylist()}
        tar = dataset.store.path(f"media/{shard_name(shard)}.tar")
        for row in found:
            text = next((row[column].strip() for column in columns if (row[column] or "").strip()), None)
            if text is not None:
                yield _item(row, places.get(row["key"]), tar, dataset), text


def _item(row: dict[str, Any], place: dict[str, Any] | None, tar: str, dataset: Dataset) -> VideoItem:
    if place is None:
        raise ShardError(f"{dataset.store.root}: clip {row['key']} has texts but no media; run `curate check`")
    media = MediaRef(tar, place["byte_offset"], place["byte_size"])
    seconds = row["end"] - row["start"]
    return VideoItem(row["key"], media, row["offset"], row["offset"] + seconds, seconds)
