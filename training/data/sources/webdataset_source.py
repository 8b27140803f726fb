"""Training clips from other people's webdataset tars (``.mp4`` with ``.txt`` and ``.json``).

Every sample is a root with one clip, the whole of its video. Order, draws and resuming are those of our own shards;
the tars' indexes (`training.data.sources.tar_index`) take the place of our tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, islice
from pathlib import Path

from runtime.errors import UserError, nearest
from runtime.models.model_uri import cache_folder
from runtime.progress_bar import bar
from runtime.settings import content_hash
from shards.keys import split_of
from training.data.clip_tasks import ClipTask, MediaRef, RootTask
from training.data.data_settings import DataSettings, Split
from training.data.decoding.crop_sampling import draw_crop
from training.data.epoch_order import rng_of, round_robin, shuffled_windows
from training.data.media_cache import cache_of, is_remote
from training.data.prefetch_thread import prefetch_in_thread
from training.data.sources.tar_index import Sample, TarFacts, expand, index_tar, read_samples

_THREADS = 8
_LOOK = 1000  # samples that are looked at for a field before it is called missing


class WebdatasetSource:
    """The samples of tars (`training.data.clip_source.ClipSource`)."""

    def __init__(
        self, settings: DataSettings, terms: Mapping[str, str | Sequence[str]], seed: int, split: Split = "train"
    ) -> None:
        """Index the tars, once for all runs.

        Args:
            settings: of the data path.
            terms: by term of the loss: ``txt``, or fields of the samples' json, in order of preference.
            seed: of the run.
            split: by hash of the video id, 1 in 100 held out, as for our own shards.

        Raises:
            UserError: no tars, no samples, no sample has a text for a term or the field asked for, a cache too small.
            ShardError: a tar is compressed, damaged or cut short; the message names it.
        """
        self._settings, self._seed, self._split = settings, seed, split
        self._preferred = {term: [names] if isinstance(names, str) else list(names) for term, names in terms.items()}
        urls = [url for pattern in settings.shards for url in expand(pattern)]
        if not urls:
            raise UserError("--shards: name at least one tar")
        folder = cache_folder() / "webdataset"
        self._tars: list[TarFacts] = []
        self._samples: list[int] = []
        with bar("indexing tars") as advance, ThreadPoolExecutor(_THREADS) as pool:
            for tar in pool.map(lambda url: index_tar(url, folder), urls):
                self._tars.append(tar)
                self._samples.append(len(self._rows(tar)))
                advance(len(self._tars), len(urls))
        if not self.num_roots:
            raise UserError(f"--shards {' '.join(settings.shards)}: no sample with a video in the split {split!r}")
        self._check_names()
        self._cache = cache_of(settings, [(tar.url, tar.size) for tar in self._tars])

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms that every clip has a text, or none, for."""
        return tuple(self._preferred)

    @property
    def num_roots(self) -> int:
        """Samples in an epoch."""
        return sum(self._samples)

    @property
    def identity(self) -> str:
        """Hash over the tars' members and every setting that decides what is drawn; not over where they lie."""
        settings = {name: value for name, value in self._settings.content().items() if name != "shards"}
        tars = [tar.digest for tar in self._tars]
        return content_hash(settings, tars, self._preferred, self._seed, self._split)

    def epoch(self, epoch: int, skip: int = 0, only: Callable[[int], bool] | None = None) -> Iterator[RootTask]:
        """The samples of an epoch in their order (see `Source`); windows that are passed over are not read."""
        windows = shuffled_windows(len(self._tars), self._settings.window_shards, self._seed, epoch)
        ends = list(accumulate(sum(self._samples[tar] for tar in window) for window in windows))
        wanted = [number for number, end in enumerate(ends) if end > skip]
        for number, samples in zip(
            wanted, prefetch_in_thread(self._load(windows[number]) for number in wanted), strict=True
        ):
            order = round_robin([self._video(tar, row) for tar, row in samples], self._seed, epoch, number)
            first = ends[number] - len(samples)
            for position in range(max(skip, first), ends[number]):
                if only is None or only(position):
                    tar, row = samples[order[position - first]]
                    yield self._task(tar, row, epoch)

    def _rows(self, tar: TarFacts) -> list[Sample]:
        """The samples of a tar that belong to the split."""
        return [row for row in read_samples(tar) if split_of(self._video(tar, row)) == self._split]

    def _video(self, tar: TarFacts, row: Sample) -> str:
        """What the sample's json says of it, a text or a number; else the sample is a video of its own."""
        field = self._settings.video_field
        named = row["texts"].get(field) or row["numbers"].get(field)
        return _key(tar, row) if named is None else str(named)

    def _load(self, window: Sequence[int]) -> list[tuple[TarFacts, Sample]]:
        """A window's samples, sorted so that the order of reading makes no difference; its tars are fetched."""
        tars = [self._tars[number] for number in sorted(window)]
        if self._cache is not None:
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(self._cache.prefetch, [tar.url for tar in tars if is_remote(tar.url)]))
        return [(tar, row) for tar in tars for row in self._rows(tar)]

    def _task(self, tar: TarFacts, row: Sample, epoch: int) -> RootTask:
        key = _key(tar, row)
        rng = rng_of(self._seed, epoch, key)
        texts = {
            term: next((row["texts"][name] for name in names if row["texts"].get(name)), None)
            for term, names in self._preferred.items()
        }
        start, end = (float(row["numbers"].get(name, default)) for name, default in (("start", 0.0), ("end", math.inf)))
        crop = draw_crop(rng, self._settings.augment)
        clip = ClipTask(key, 0.0, math.inf, start, end, texts, crop)
        return RootTask(key, self._video(tar, row), MediaRef(tar.url, row["offset"], row["size"]), (clip,))

    def _check_names(self) -> None:
        """Refuse a term that no sample has a text for, and a field of one's own for the video that none has."""
        rows = list(islice((row for tar in self._tars for row in self._rows(tar)), _LOOK))
        known = {name for row in rows for name in row["texts"]}
        for term, names in self._preferred.items():
            if not known & set(names):
                raise UserError(f"loss.terms.{term}={names!r}: no sample has such a text{nearest(names[0], known)}")
        field, fields = self._settings.video_field, known | {name for row in rows for name in row["numbers"]}
        if field != DataSettings().video_field and field not in fields:
            raise UserError(f"data.video_field={field!r}: no sample has such a field{nearest(field, fields)}")


def _key(tar: TarFacts, row: Sample) -> str:
    """A sample's name among those of all tars; within theirs many tools count from 0 again."""
    return f"{Path(tar.url).stem}/{row['key']}"
