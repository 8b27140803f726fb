"""Training clips from a labelled benchmark: one clip per video and epoch, with its class instead of a text.

A source like those of `training.data.sources`. The span of a clip is drawn as the benchmark's recipe says (a dense
window, or the whole video with an offset), its crop as in pretraining.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np

from runtime.errors import UserError
from runtime.log import get_logger
from runtime.settings import content_hash
from training.data.clip_failure import ClipFailed
from training.data.clip_tasks import ClipTask, MediaRef, RootTask
from training.data.data_settings import AugmentSettings
from training.data.decoding.crop_sampling import draw_crop
from training.data.decoding.video_duration import video_seconds
from training.data.order.epoch_order import rng_of, seed_of
from training.evaluation.benchmarks.classification.classification_set import ClassificationSet, LabelledVideo
from training.evaluation.video.classification import labelled_span
from training.evaluation.video.video_views import Sampling, drawn_span
from training.vidla.finetuning.classification_task import TERM

_THREADS = 4
_AHEAD = 64

_log = get_logger(__name__)


class LabelledSource:
    """Implements `training.data.clip_source.ClipSource` over a classification set."""

    def __init__(
        self, videos: ClassificationSet, sampling: Sampling, frames: int, augment: AugmentSettings, seed: int
    ) -> None:
        """Take the videos that have a file; the number of the others is logged as a warning.

        Args:
            videos: the training split.
            sampling: of the span of a clip.
            frames: frames a clip.
            augment: of the crop.
            seed: of the order and of all draws.

        Raises:
            UserError: no video of the set has a file.
        """
        self._set = videos
        self._items = tuple(item for item in videos.items if item.path is not None)
        if not self._items:
            raise UserError(f"--videos: holds none of the {len(videos.items)} videos of {videos.name} {videos.split}")
        if missing := len(videos.items) - len(self._items):
            _log.warning("%s %s: %d of %d videos missing", videos.name, videos.split, missing, len(videos.items))
        self._sampling: Sampling = sampling
        self._frames = frames
        self._augment = augment
        self._jitter = augment.jitter and sampling == "uniform"  # frames of a dense clip are equally far apart
        self._seed = seed

    @property
    def identity(self) -> str:
        """Hash over the videos, their classes, and the settings of the draws."""
        rows = [[item.id, item.label, item.start, item.end] for item in self._items]
        return content_hash(
            self._set.name, self._set.classes, rows, self._sampling, self._frames, self._augment, self._seed
        )

    @property
    def terms(self) -> tuple[str, ...]:
        """The only term: the class."""
        return (TERM,)

    @property
    def num_roots(self) -> int:
        """Number of videos in an epoch."""
        return len(self._items)

    @property
    def num_clips(self) -> int:
        """Number of clips in an epoch: one of each video."""
        return len(self._items)

    def epoch(self, epoch: int, skip: int = 0, only: Callable[[int], bool] | None = None) -> Iterator[RootTask]:
        """Yield the videos of an epoch in order; see `training.data.clip_source.ClipSource.epoch`.

        The lengths of the next videos are read ahead, in threads.
        """
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._items))
        todo = (self._items[order[at]] for at in range(skip, len(order)) if only is None or only(at))
        with ThreadPoolExecutor(_THREADS) as pool:
            waiting: deque[Future[RootTask]] = deque()
            while True:
                for item in islice(todo, _AHEAD - len(waiting)):
                    waiting.append(pool.submit(self._root, item, epoch))
                if not waiting:
                    return
                yield waiting.popleft().result()

    def _root(self, item: LabelledVideo, epoch: int) -> RootTask:
        rng = rng_of(self._seed, epoch, item.id)
        label = self._set.classes[item.label]
        crop, u = draw_crop(rng, self._augment, [label]), rng.random()
        jitter = seed_of(self._seed, epoch, item.id, "frames") if self._jitter else None
        try:
            begin, end = labelled_span(item, video_seconds(item.path)) if item.path else (0.0, 0.0)
            start, stop = drawn_span(self._sampling, begin, end, self._frames, u)
        except ClipFailed:
            # decoding the annotated span fails for the same reason and is counted there
            start, stop = item.start or 0.0, item.end or math.inf
        clip = ClipTask(item.id, start, stop, start, stop, {TERM: label}, crop, jitter)
        return RootTask(item.id, item.id, MediaRef(str(item.path)), (clip,))
