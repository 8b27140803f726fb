"""The clips of a DIR as a map-style dataset: frames and texts of one clip at a time, for code of one's own.

    from training.vidla import ClipDataset

    clips = ClipDataset("demo/shards", split="val", frames=12)
    print(len(clips), clips[0].video_THWC.shape, clips[0].texts["grounded_text"])

`train-vidla` itself reads roots, many clips of a video at once, in an order of its own (`training.data.clip_loader`).

Shapes: T frames, H height, W width, C = 3 colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from torch.utils.data import Dataset

from runtime.errors import UserError
from shards.schema import Level
from training.data.clip_tasks import MediaRef
from training.data.data_settings import Split
from training.data.decoding.clip_decoder import decode_clips
from training.data.media_cache import MediaReader
from training.data.sources.shard_tables import TEXT_COLUMNS, ShardRef, open_shards

_MARKS = ("key", "keep", "split")
_ROW = ("key", "video_id", "level", "start", "end", "offset", *TEXT_COLUMNS)


@dataclass(frozen=True)
class DecodedClip:
    """One clip with its frames and texts."""

    key: str
    video_id: str
    level: Level
    start: float
    """Seconds of the original video."""
    end: float
    """Seconds of the original video."""
    video_THWC: NDArray[np.uint8]
    """RGB frames, evenly spaced over the clip; what `VidLA.preprocess` takes."""
    texts: Mapping[str, str | None]
    """Text by column of the text layer; None or empty if the clip has no such text."""


class ClipDataset(Dataset[DecodedClip]):
    """The clips of a folder that `curate run` wrote, in the order of its shards; can be pickled into workers."""

    def __init__(
        self,
        folder: str | Path,
        *,
        layer: str | None = None,
        selection: str | None = None,
        split: Split | None = None,
        frames: int = 12,
        only_kept: bool = True,
    ) -> None:
        """Open the folder and list its clips; frames and texts are read when a clip is asked for.

        Args:
            folder: path or object-store URL.
            layer: text layer; None: the only one.
            selection: selection that says which clips to keep, and their split; None: that of the layer.
            split: `train` or `val`; None: both.
            frames: frames of a clip.
            only_kept: leave out clips that curation marked as not to keep.

        Raises:
            UserError: several layers and none named, or no clip of that split.
            ShardError: not a curated folder, or no such layer or selection.
        """
        self.frames = frames
        opened = open_shards([str(folder)], {layer: 1.0} if layer else None, selection)
        self._shards: tuple[ShardRef, ...] = opened.shards
        self._keys = [
            (number, key) for number, shard in enumerate(self._shards) for key in _kept(shard, split, only_kept)
        ]
        if not self._keys:
            raise UserError(f"{folder}: no clip to read in the split {split or 'train or val'}")
        self._held: tuple[int, dict[str, _Row]] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[DecodedClip]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> DecodedClip:
        """Read one clip.

        Raises:
            IndexError: there are not so many clips.
            ClipFailed: its video can't be read or decoded.
            ShardError: a table can't be read.
        """
        number, key = self._keys[index]
        row = self._rows(number)[key]
        offset = max(row.values["offset"], 0.0)
        span = (offset, offset + row.values["end"] - row.values["start"])
        (video_THWC,) = decode_clips(MediaReader().read(row.media), [span], self.frames)
        facts = {name: row.values[name] for name in ("key", "video_id", "level", "start", "end")}
        return DecodedClip(**facts, video_THWC=video_THWC, texts={name: row.values[name] for name in TEXT_COLUMNS})

    def _rows(self, number: int) -> dict[str, _Row]:
        """Return the clips of a shard by key; the shard that was read last is kept."""
        if self._held is None or self._held[0] != number:
            self._held = number, _read(self._shards[number])
        return self._held[1]


@dataclass(frozen=True)
class _Row:
    values: Mapping[str, Any]
    media: MediaRef


def _kept(shard: ShardRef, split: Split | None, only_kept: bool) -> list[str]:
    table = shard.dataset.texts(shard.number, list(_MARKS))
    table = table.filter(table["keep"]) if only_kept else table
    if split is not None:
        table = table.filter(pc.equal(pc.cast(table["split"], "string"), split))
    return [str(key) for key in table["key"].to_pylist()]


def _read(shard: ShardRef) -> dict[str, _Row]:
    table = shard.dataset.clips(shard.number, ["key", "byte_offset", "byte_size"])
    media = {row["key"]: MediaRef(shard.tar, row["byte_offset"], row["byte_size"]) for row in table.to_pylist()}
    rows = shard.dataset.texts(shard.number, list(_ROW)).to_pylist()
    return {row["key"]: _Row(row, media[row["key"]]) for row in rows if row["key"] in media}
