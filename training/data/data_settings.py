"""Settings of the training data: the clips that are read, their proportion, augmentation and loading.

Imports neither torch nor a decoder, so that commands can print their settings at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from runtime.settings import Runtime, Settings
from shards.schema import Level

Split = Literal["train", "val"]
SourceName = Literal["shards", "webdataset"]
"""A kind of source; `training.data.sources.source_registry` opens it."""


class _GrownSettings(Settings):
    """Settings that leave out of their content whatever has the meaning from before the setting existed.

    So a run that was begun by an older version, and is resumed with that meaning, keeps its identity.
    """

    before: ClassVar[Mapping[str, Any]] = {}
    """Value that each later setting has in runs from before it."""

    def content(self) -> dict[str, Any]:
        """Return `Settings.content` without the later settings that have the meaning from before them."""
        return {
            name: value
            for name, value in super().content().items()
            if name not in self.before or value != self.before[name]
        }


class AugmentSettings(_GrownSettings):
    """Random changes to a training clip; the same for all of its frames, except for `jitter`."""

    before: ClassVar[Mapping[str, Any]] = {"jitter": False, "flip_directions": True}

    scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(1.0, 0.8), min_length=1)
    """Sides of the square crop, as shares of the frame's short side; one is drawn for each clip."""
    flip: bool = True
    """Mirror half of the clips left to right."""
    flip_directions: bool = False
    """Mirror also clips whose texts name left, right or clockwise (English words)."""
    jitter: bool = True
    """Take each frame at a random moment of its segment of the clip, drawn in each epoch, instead of at the middle."""
    center: bool = False
    """Take every crop from the middle of the frame, as in the paper's finetuning, instead of a random position."""


class RootSettings(Settings):
    """The clips to train on, their order and their proportion."""

    shards: tuple[str, ...] = ()
    """DIRs written by `curate run`, as paths or object-store URLs; for `source=webdataset`, tars with braces and
    globs."""
    layers: dict[str, float] | None = None
    """Text layers with weights: one is drawn for each root. None: the only text layer of the shards."""
    selection: Runtime[str | None] = None
    """Selection that says which clips to keep, and their split; an epoch has only roots with kept clips. None: the one
    that is named as the text layer; roots without a kept clip then keep their places in the batches, without weight."""
    only_kept: bool = True
    """Leave out clips that curation marked as not to keep."""
    clips_per_root: int = Field(default=1, ge=1)
    """Training clips of a root in one batch; all are taken from one decode of its video. 1 gives the most different
    videos in a batch, 2 halves the decoding."""
    level_mix: dict[Level, float] | None = None
    """Proportion of short, medium and long clips. None: the proportion in the data."""
    window_shards: int = Field(default=8, ge=1)
    """Number of shards whose roots are shuffled together. Smaller windows keep reads more sequential."""

    @model_validator(mode="after")
    def _weights(self) -> RootSettings:
        for name, weights in (("layers", self.layers), ("level_mix", self.level_mix)):
            if weights is not None and not (weights and min(weights.values()) >= 0 and sum(weights.values()) > 0):
                raise ValueError(f"{name}={weights!r}: give weights of 0 or more, at least one above 0")
        return self


class DataSettings(_GrownSettings, RootSettings):
    """The clips to train on, their proportion, and how they are loaded."""

    before: ClassVar[Mapping[str, Any]] = {
        "window_batches": 0.0,
        "repeat_clips": True,
        "frames_per_second": None,
        "frame_buckets": [8, 12, 16, 24, 32],
    }

    window_batches: float = Field(default=4.0, ge=0)
    """Batches' worth of different videos that are shuffled together at least: a window then takes more than
    `window_shards` shards where these hold too few. The roots of each video are spread over the window. 0: windows of
    `window_shards`, one root of each video in turn."""
    repeat_clips: bool = False
    """Take a clip of a root twice if the root has fewer than `clips_per_root`; otherwise that row of the batch is
    empty."""
    epoch_of: Runtime[Literal["clips", "roots"]] = "clips"
    """The length of an epoch of `loop.epochs`: as many training clips as the data has (the paper's), or one visit of
    each root, with `clips_per_root` of its clips."""
    source: SourceName = "shards"
    """Kind of the shards: `shards` (DIRs of this project), or `webdataset` (any tars of `.mp4` and `.txt`)."""
    frames_per_second: float | None = Field(default=None, gt=0)
    """Frames by duration: the largest of `frame_buckets` that takes no more frames a second than this. With 1, a stored
    root needs only its keyframes decoded. None: every clip has `model.frames`, as in the paper."""
    frame_buckets: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(8, 12, 16, 24, 32), min_length=1)
    """With `frames_per_second`: the numbers of frames that a clip may have, increasing. The first is for short clips,
    the last is the budget of long ones."""
    size: int = Field(default=256, ge=16)
    """Short side in pixels that frames are scaled to before cropping. Stored roots have 256."""
    augment: AugmentSettings = AugmentSettings()
    """Random crop and mirror."""
    video_field: str = "video_id"
    """For `source=webdataset`: field of a sample's json that is equal for samples of one video. A sample without the
    field counts as a video of its own."""
    workers: Runtime[int | None] = Field(default=None, ge=0)
    """Decoding processes of one rank; 0: decode in the main process. None: CPU cores divided by the ranks of the
    machine."""
    prefetch: Runtime[int] = Field(default=1, ge=1)
    """Batches decoded ahead."""
    cache: Runtime[Path | None] = None
    """Folder that caches whole tars of an object store. None: roots are read by byte range."""
    cache_gb: Runtime[float] = Field(default=100.0, gt=0)
    """Largest size of that folder, in GB."""

    @model_validator(mode="after")
    def _increasing_buckets(self) -> DataSettings:
        if list(self.frame_buckets) != sorted(set(self.frame_buckets)):
            raise ValueError(f"frame_buckets={list(self.frame_buckets)}: give increasing numbers of frames")
        return self

    @model_validator(mode="after")
    def _one_clip_a_sample(self) -> DataSettings:
        if self.source == "webdataset" and self.clips_per_root != 1:
            raise ValueError(
                f"source=webdataset has one clip a sample, but clips_per_root={self.clips_per_root}; "
                "set clips_per_root=1"
            )
        return self
