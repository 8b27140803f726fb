"""What of the data is trained on: the settings of the data path, and the pure draws of an epoch.

The order of an epoch is a function of (seed, epoch) and of the roots there are; what is drawn for a root (text layer,
clips, crops) of (seed, epoch, root). Neither knows of ranks or workers.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from runtime.settings import Runtime, Settings
from shards.schema import Level
from training.data.decoding.augment import AugmentSettings

Split = Literal["train", "val"]


class RootSettings(Settings):
    """Which clips are trained on, in which order and proportion, whatever is read of them."""

    shards: tuple[str, ...] = ()
    """DIRs that `curate run` wrote: paths or object-store URLs; for `source=webdataset`, tars with braces and globs."""
    layers: dict[str, float] | None = None
    """Text layers and their weights: one is drawn for each root. Without: the only one there is."""
    only_kept: bool = True
    """Leave out clips that curation marked as not to keep."""
    clips_per_root: int = Field(default=2, ge=1)
    """Training clips of a root in an epoch; where videos are decoded, from one decode."""
    level_mix: dict[Level, float] | None = None
    """Proportion of short, medium and long clips. Without: their share in the data."""
    window_shards: int = Field(default=8, ge=1)
    """Shards whose roots are shuffled together; reads stay near-sequential beyond."""

    @model_validator(mode="after")
    def _weights(self) -> RootSettings:
        for name, weights in (("layers", self.layers), ("level_mix", self.level_mix)):
            if weights is not None and not (weights and min(weights.values()) >= 0 and sum(weights.values()) > 0):
                raise ValueError(f"{name}={weights!r}: give weights of 0 or more, at least one above 0")
        return self


class DataSettings(RootSettings):
    """Which clips are trained on, in which proportion, and how they are brought to the model."""

    source: Literal["shards", "webdataset"] = "shards"
    """What the shards are: DIRs of this project, or anyone's tars of `.mp4` and `.txt`."""
    size: int = Field(default=256, ge=16)
    """Pixels of the short side that frames are brought to before cropping; stored roots have 256."""
    augment: AugmentSettings = AugmentSettings()
    """Random crop and mirror."""
    video_field: str = "video_id"
    """For `source=webdataset`: field of a sample's json that tells samples of one video; else its key does."""
    workers: Runtime[int | None] = Field(default=None, ge=0)
    """Decoding processes of one rank; 0: decode in this process. Without: cores of the machine over ranks on it."""
    prefetch: Runtime[int] = Field(default=1, ge=1)
    """Batches decoded ahead."""
    cache: Runtime[Path | None] = None
    """Folder to keep whole tars of an object store in. Without: roots are read by byte range."""
    cache_gb: Runtime[float] = Field(default=100.0, gt=0)
    """Bound of that folder."""

    @model_validator(mode="after")
    def _one_clip_a_sample(self) -> DataSettings:
        if self.source == "webdataset" and self.clips_per_root != 1:
            raise ValueError(
                f"source=webdataset has one clip a sample, but clips_per_root={self.clips_per_root}; "
                "set clips_per_root=1"
            )
        return self


def seed_of(*parts: object) -> int:
    """A 64-bit seed from values; equal values give equal seeds on every machine."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def rng_of(*parts: object) -> random.Random:
    """Random numbers from values, as `seed_of`."""
    return random.Random(seed_of(*parts))


def shuffled_windows(count: int, window: int, seed: int, epoch: int) -> list[list[int]]:
    """The numbers 0 to `count` - 1 (of shards) in the epoch's order, in windows."""
    order = np.random.default_rng([seed, epoch, 0]).permutation(count).tolist()
    return [order[begin : begin + window] for begin in range(0, count, window)]


def round_robin(videos: Sequence[str], seed: int, epoch: int, window: int) -> NDArray[np.int64]:
    """An order of a window's roots that visits one root of each video in turn, both shuffled.

    Args:
        videos: the video of each root, in an order that depends on the media alone.
        seed: of the run.
        epoch: number of the epoch.
        window: number of the window in the epoch.

    Returns:
        Numbers of the roots, in the order of visiting.
    """
    rng = np.random.default_rng([seed, epoch, 1, window])
    names, video = np.unique(np.asarray(videos, dtype=str), return_inverse=True)
    shuffled = rng.permutation(len(video))
    by_video = shuffled[np.argsort(video[shuffled], kind="stable")]
    counts = np.bincount(video, minlength=len(names))
    turn = np.arange(len(video)) - np.repeat(np.cumsum(counts) - counts, counts)
    return by_video[np.lexsort((rng.permutation(len(names))[video[by_video]], turn))]
