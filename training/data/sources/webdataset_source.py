"""A source of training clips over other people's webdataset tars (``.mp4`` with ``.txt`` and ``.json``).

Every sample is a root with one clip, which is its whole video. Order, draws and resuming are those of our own shards;
the tars' indexes (`training.data.sources.tar_index`) replace our tables.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from runtime.errors import UserError, nearest
from runtime.log import get_logger
from runtime.models.model_uri import cache_folder
from runtime.progress_bar import progress_bar
from runtime.settings import content_hash
from shards.keys import split_of
from training.data.clip_tasks import ClipTask, MediaRef, RootTask
from training.data.data_settings import DataSettings, Split
from training.data.decoding.crop_sampling import draw_crop
from training.data.media_cache import is_remote, open_cache
from training.data.order.epoch_order import rng_of, seed_of, shards_a_window
from training.data.sources.tar_index import IndexedTar, TarSample, index_tar, read_samples
from training.data.sources.tar_patterns import expand_tars
from training.data.sources.window_order import WindowOrder

log = get_logger(__name__)

_THREADS = 8
_CHECKED_SAMPLES = 1000  # samples that are read before a field is reported as missing


class WebdatasetSource:
    """The samples of tars (`training.data.clip_source.ClipSource`)."""

    def __init__(
        self,
        settings: DataSettings,
        terms: Mapping[str, str | Sequence[str]],
        seed: int,
        split: Split = "train",
        roots_a_batch: int = 1,
    ) -> None:
        """Index the tars, once for all runs.

        Args:
            settings: of the data.
            terms: by term of the loss: ``txt``, or fields of the samples' json, in order of preference.
            seed: seed of the run.
            split: by hash of the video id, 1 in 100 held out, as for our own shards.
            roots_a_batch: samples in a global batch; windows of tars hold some batches' worth of videos.

        Raises:
            UserError: no tars, no samples, a term or field that no sample has, or a cache that is too small.
            ShardError: a tar is compressed, damaged or cut short; the message names it.
        """
        self._settings, self._seed, self._split = settings, seed, split
        self._preferred = {term: [names] if isinstance(names, str) else list(names) for term, names in terms.items()}
        urls = [url for pattern in settings.shards for url in expand_tars(pattern)]
        if not urls:
            raise UserError("--shards: name at least one tar")
        folder = cache_folder() / "webdataset"
        self._tars: list[IndexedTar] = []
        self._samples: list[int] = []
        videos: list[int] = []
        with progress_bar("indexing tars") as advance, ThreadPoolExecutor(_THREADS) as pool:
            for tar in pool.map(lambda url: index_tar(url, folder), urls):
                self._tars.append(tar)
                samples = self._samples_of(tar)
                self._samples.append(len(samples))
                videos.append(len({self._video(tar, sample) for sample in samples}))
                advance(len(self._tars), len(urls))
        self._report_left_out()
        if not self.num_roots:
            raise UserError(f"--shards {' '.join(settings.shards)}: no sample with a video in the split {split!r}")
        self._check_names()
        batches = settings.window_batches
        window = shards_a_window(videos, roots_a_batch, batches, settings.window_shards)
        self._order = WindowOrder(self._samples, window, seed, apart=batches > 0)
        self._cache = open_cache(settings, [(tar.url, tar.size) for tar in self._tars], window)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms; every clip has a text or None for each."""
        return tuple(self._preferred)

    @property
    def num_roots(self) -> int:
        """Number of samples in an epoch."""
        return sum(self._samples)

    @property
    def num_clips(self) -> int:
        """Number of samples: each is one clip."""
        return self.num_roots

    @property
    def identity(self) -> str:
        """Hash over the tars' members and all settings that decide the draws; not over folders."""
        settings = {name: value for name, value in self._settings.content().items() if name != "shards"}
        tars = [tar.digest for tar in self._tars]
        return content_hash(settings, tars, self._preferred, self._seed, self._split)

    def epoch(self, epoch: int, skip: int = 0, only: Callable[[int], bool] | None = None) -> Iterator[RootTask]:
        """Yield the samples of an epoch in order; see `ClipSource.epoch`. Skipped windows are not read."""
        for tar, sample in self._order.walk(epoch, skip, only, self._load, lambda root: self._video(*root)):
            yield self._task(tar, sample, epoch)

    def _report_left_out(self) -> None:
        """Log what the tars hold and no clip is made of, by reason."""
        counts: Counter[str] = Counter()
        for tar in self._tars:
            counts.update(tar.left_out)
        if counts:
            log.warning("--shards: left out %s", ", ".join(f"{count} {reason}" for reason, count in counts.items()))

    def _samples_of(self, tar: IndexedTar) -> list[TarSample]:
        """Return the samples of a tar that belong to the split."""
        return [sample for sample in read_samples(tar) if split_of(self._video(tar, sample)) == self._split]

    def _video(self, tar: IndexedTar, sample: TarSample) -> str:
        """Return the video that the sample's json names, by text or number; otherwise the sample's own key."""
        field = self._settings.video_field
        named = sample.texts.get(field) or sample.numbers.get(field)
        return _key(tar, sample) if named is None else str(named)

    def _load(self, window: Sequence[int]) -> list[tuple[IndexedTar, TarSample]]:
        """Read the samples of a window in the order of the tars' numbers, and fetch its tars."""
        tars = [self._tars[number] for number in sorted(window)]
        if self._cache is not None:
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(self._cache.prefetch, [tar.url for tar in tars if is_remote(tar.url)]))
        return [(tar, sample) for tar in tars for sample in self._samples_of(tar)]

    def _task(self, tar: IndexedTar, sample: TarSample, epoch: int) -> RootTask:
        """Draw the crop of a sample."""
        key = _key(tar, sample)
        rng = rng_of(self._seed, epoch, key)
        texts = {
            term: next((text for name in names if (text := sample.texts.get(name))), None)
            for term, names in self._preferred.items()
        }
        start, end = float(sample.numbers.get("start", 0.0)), float(sample.numbers.get("end", math.inf))
        augment = self._settings.augment
        crop = draw_crop(rng, augment, texts.values())
        jitter = seed_of(self._seed, epoch, key, "frames") if augment.jitter else None
        clip = ClipTask(key, 0.0, math.inf, start, end, texts, crop, jitter)
        media, seed = MediaRef(tar.url, sample.offset, sample.size), seed_of(self._seed, epoch, key, "text")
        return RootTask(key, self._video(tar, sample), media, (clip,), seed=seed)

    def _check_names(self) -> None:
        """Refuse a term without any text, and a `video_field` set by the user that no sample has."""
        samples = (sample for tar in self._tars for sample in self._samples_of(tar))
        checked = list(islice(samples, _CHECKED_SAMPLES))
        known = {name for sample in checked for name in sample.texts}
        for term, names in self._preferred.items():
            if not known & set(names):
                raise UserError(f"loss.terms.{term}={names!r}: no sample has such a text{nearest(names[0], known)}")
        field, fields = self._settings.video_field, known | {name for sample in checked for name in sample.numbers}
        if field != DataSettings().video_field and field not in fields:
            raise UserError(f"data.video_field={field!r}: no sample has such a field{nearest(field, fields)}")


def _key(tar: IndexedTar, sample: TarSample) -> str:
    """Return a key that is unique among all tars: many tools count samples from 0 in every tar."""
    return f"{Path(tar.url).stem}/{sample.key}"
