"""A source of training clips over plain video files, used to finetune on benchmarks.

An epoch visits every item once in a shuffled order; one of an item's captions is drawn each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runtime.errors import UserError
from runtime.settings import content_hash
from training.data.clip_tasks import CENTER, ClipTask, MediaRef, RootTask
from training.data.data_settings import AugmentSettings
from training.data.decoding.crop_sampling import draw_crop
from training.data.order.epoch_order import rng_of, seed_of


@dataclass(frozen=True)
class FileItem:
    """A video file, or a time span of one, with its captions."""

    path: Path
    video_id: str
    texts: Sequence[str]
    """One or more captions; one is drawn in each epoch."""
    start: float | None = None
    """Seconds from the first frame; None: the beginning."""
    end: float | None = None
    """Seconds from the first frame; None: the end."""


class FileSource:
    """The items of a benchmark's training split (`training.data.clip_source.ClipSource`)."""

    def __init__(
        self,
        items: Sequence[FileItem],
        terms: Sequence[str],
        seed: int,
        *,
        augment: AugmentSettings | None = None,
        clips_per_root: int = 1,
    ) -> None:
        """Check the items.

        Args:
            items: of the training split.
            terms: terms of the loss; each gets the drawn caption.
            seed: seed of the run.
            augment: random crop and mirror; None: the centre crop.
            clips_per_root: clips of an item in a batch, each with its own caption and crop.

        Raises:
            UserError: there are no items, or an item has no caption.
        """
        if not items:
            raise UserError("no video to train on; check --annotations and --videos")
        if mute := [item.video_id for item in items if not item.texts]:
            raise UserError(f"video {mute[0]!r} has no caption to train on; check --annotations")
        self._items, self._terms, self._seed = items, tuple(terms), seed
        self._augment, self._clips = augment, clips_per_root

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms; all have the same text."""
        return self._terms

    @property
    def num_roots(self) -> int:
        """Items in an epoch."""
        return len(self._items)

    @property
    def num_clips(self) -> int:
        """Clips in an epoch."""
        return len(self._items) * self._clips

    @property
    def identity(self) -> str:
        """Hash over the items (names and captions, not folders) and all settings that decide the draws."""
        items = [[i.path.name, i.video_id, list(i.texts), i.start, i.end] for i in self._items]
        return content_hash(items, self._terms, self._seed, self._augment, self._clips)

    def epoch(self, epoch: int, skip: int = 0, only: Callable[[int], bool] | None = None) -> Iterator[RootTask]:
        """Yield the items of an epoch in order; see `ClipSource.epoch`."""
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._items)).tolist()
        for position in range(skip, len(order)):
            if only is None or only(position):
                yield self._task(order[position], epoch)

    def _task(self, number: int, epoch: int) -> RootTask:
        item = self._items[number]
        rng = rng_of(self._seed, epoch, number)
        start, end = item.start or 0.0, math.inf if item.end is None else item.end
        clips = []
        for clip in range(self._clips):
            text = item.texts[int(rng.random() * len(item.texts))]
            crop = CENTER if self._augment is None else draw_crop(rng, self._augment, [text])
            jitters = self._augment is not None and self._augment.jitter
            jitter = seed_of(self._seed, epoch, number, "frames", clip) if jitters else None
            texts = dict.fromkeys(self._terms, text)
            clips.append(ClipTask(item.video_id, start, end, start, end, texts, crop, jitter))
        seed = seed_of(self._seed, epoch, number, "text")
        return RootTask(item.video_id, item.video_id, MediaRef(str(item.path)), tuple(clips), seed=seed)
