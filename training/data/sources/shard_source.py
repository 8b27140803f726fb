"""A source of training clips over the DIRs that `curate run` writes.

Tables are read one window of shards at a time, the next window in a thread; the videos themselves are read by the
workers. The order depends on the media alone, and on which roots a selection that the user names has kept clips of: the
others are left out. Without such a name, a root without a kept clip keeps its place. The draws for a root depend on its
own seed (`training.data.order.epoch_order`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from runtime.errors import UserError
from runtime.settings import content_hash
from shards.schema import LEVELS
from training.data.clip_tasks import CENTER, ClipTask, Crop, RootTask
from training.data.data_settings import AugmentSettings, DataSettings, RootSettings, Split
from training.data.decoding.crop_sampling import draw_crop
from training.data.media_cache import is_remote, open_cache
from training.data.order.epoch_order import rng_of, seed_of, shards_a_window
from training.data.order.level_sampling import draw_levels, fit_level_weights
from training.data.sources.root_counts import count_roots
from training.data.sources.selection_counts import kept_line
from training.data.sources.shard_tables import ClipRow, LoadedShard, check_column, load_shard, open_shards
from training.data.sources.window_order import WindowOrder

_THREADS = 8
_COUNTED_SHARDS = 8
"""Shards that the shares of text columns are counted in."""

Terms = Mapping[str, str | Sequence[str]]
"""Text column, or columns in order of preference, by term of the loss."""


class ShardSource:
    """The roots of one split of one or more DIRs (`training.data.clip_source.ClipSource`)."""

    def __init__(
        self,
        settings: RootSettings,
        terms: Terms,
        seed: int,
        split: Split = "train",
        roots_a_batch: int = 1,
        *,
        every_clip: bool = False,
        columns_of: str = "loss.terms.{term}",
    ) -> None:
        """Open the DIRs and count the split's roots in every shard.

        Args:
            settings: of the data; crops are drawn and tars fetched only for `DataSettings`.
            terms: text columns by term of the loss.
            seed: seed of the run.
            split: `train` or `val`.
            roots_a_batch: roots in a global batch; windows of shards hold some batches' worth of videos.
            every_clip: draw no clips; yield each root with all usable leaves of its clip tree, in order of time.
            columns_of: name of the setting with a term's columns, for messages.

        Raises:
            UserError: no shards, an unknown column, several text layers and none named, an empty split, or a cache
                that is too small.
            ShardError: a DIR can't be read; the message names it.
        """
        self._settings, self._seed, self._split, self._every_clip = settings, seed, split, every_clip
        decoding = settings if isinstance(settings, DataSettings) else None
        self._augment = decoding.augment if decoding else None
        self._preferred = {term: _preferred(columns_of.format(term=term), columns) for term, columns in terms.items()}
        self._open = open_shards(settings.shards, settings.layers, settings.selection)
        self._repeat = decoding.repeat_clips if decoding else True
        self._chosen = settings.only_kept and settings.selection is not None
        self._counts = count_roots(self._open.shards, split, settings.only_kept, self._chosen)
        if not any(map(any, self._counts.stocks)):
            named = f" has a clip that the selection {settings.selection} keeps" if self._chosen else ""
            named = named or (" has a clip that is kept" if self.num_roots else "")
            counts = kept_line(self._open.shards)
            raise UserError(f"--shards {' '.join(settings.shards)}: no root in the split {split!r}{named}{counts}")
        batches = decoding.window_batches if decoding else 0.0
        window = shards_a_window(self._counts.videos, roots_a_batch, batches, settings.window_shards)
        self._order = WindowOrder(self._counts.roots, window, seed, apart=batches > 0)
        tars = [(shard.tar, shard.media_bytes) for shard in self._open.shards]
        self._cache = open_cache(decoding, tars, window) if decoding else None
        count = settings.clips_per_root
        self._level_weights = fit_level_weights(self._counts.stocks, settings.level_mix, count, self._repeat)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms; every clip has a text or None for each."""
        return tuple(self._preferred)

    @property
    def num_roots(self) -> int:
        """Number of roots in the split; an epoch visits each once."""
        return sum(self._counts.roots)

    @property
    def num_clips(self) -> int:
        """Number of clips in the split that can be drawn."""
        mix = self._settings.level_mix
        drawn = [mix is None or mix.get(level, 0) > 0 for level in LEVELS]
        stocks = self._counts.stocks.items()
        return sum(roots * sum(held for held, on in zip(stock, drawn, strict=True) if on) for stock, roots in stocks)

    @property
    def identity(self) -> str:
        """Hash over the media, the text layers and all settings that decide the draws; not over paths."""
        settings = {name: value for name, value in self._settings.content().items() if name != "shards"}
        media = [[shard.number, shard.digest] for shard in self._open.shards]
        texts = [self._open.layers, self._open.marks, self._preferred]
        roots = ["every clip"] * self._every_clip + ["chosen roots"] * self._chosen
        return content_hash(settings, media, texts, self._seed, self._split, *roots)

    def text_shares(self, term: str) -> dict[str, float]:
        """Return the share of usable clips whose text is of each column, in order of preference; they sum to 1 or 0.

        Only the first shards are read, and each text layer counts alike.

        Args:
            term: name of a loss term.
        """
        counts = dict.fromkeys(self._preferred[term], 0)
        for shard, root in self._load(range(min(_COUNTED_SHARDS, len(self._open.shards)))):
            for row in (row for layer in self._open.layers for row in shard.rows(root, layer)):
                used = next((name for name in counts if row.texts[name]), None)
                if used is not None and (row.keep or not self._settings.only_kept):
                    counts[used] += 1
        total = max(1, sum(counts.values()))
        return {name: count / total for name, count in counts.items()}

    def epoch(self, epoch: int, skip: int = 0, only: Callable[[int], bool] | None = None) -> Iterator[RootTask]:
        """Yield the roots of an epoch in order; see `ClipSource.epoch`. Skipped windows are not read."""
        for shard, root in self._order.walk(epoch, skip, only, self._load, _video_of):
            yield self._task(shard, root, epoch)

    def _load(self, window: Sequence[int]) -> list[tuple[LoadedShard, int]]:
        """Read the tables of a window and fetch its tars; return the roots by shard and number."""
        shards = [self._open.shards[number] for number in sorted(window)]
        columns = sorted({column for columns in self._preferred.values() for column in columns})
        with ThreadPoolExecutor(_THREADS) as pool:
            tars = [pool.submit(self._cache.prefetch, s.tar) for s in shards if self._cache and is_remote(s.tar)]
            loaded = list(pool.map(lambda shard: load_shard(shard, self._split, columns, self._chosen), shards))
            for tar in tars:
                tar.result()
        return [(shard, root) for shard in loaded for root in range(len(shard.keys))]

    def _task(self, shard: LoadedShard, root: int, epoch: int) -> RootTask:
        """Draw the text layer, clips and crops of a root."""
        rng = rng_of(self._seed, epoch, shard.keys[root])
        rows = shard.rows(root, _weighted(rng, self._open.layers))
        texts = [self._texts(row) for row in rows]
        kept = [n for n, row in enumerate(rows) if (row.keep or not self._settings.only_kept)]
        usable = [n for n in kept if not texts[n] or any(texts[n].values())]
        count = 1 if self._every_clip else self._settings.clips_per_root
        drawn = (
            _leaves(rows, usable)
            if self._every_clip
            else _draw(rng, rows, usable, self._level_weights, count, self._repeat)
        )
        clips = [(rows[n], texts[n]) for n in drawn]
        if not clips:  # no usable clip: the root keeps its place, without texts
            clips = [(shard.rows(root, next(iter(shard.layers)))[0], dict.fromkeys(self._preferred))] * count
        return RootTask(
            key=shard.keys[root],
            video_id=shard.videos[root],
            media=shard.media(root),
            clips=self._clips(clips, rng, seed_of(self._seed, epoch, shard.keys[root], "frames"), count),
            folder=shard.ref.folder,
            shard=shard.ref.number,
            seed=seed_of(self._seed, epoch, shard.keys[root], "text"),
            kept=bool(kept),
        )

    def _clips(
        self, drawn: Sequence[tuple[ClipRow, Mapping[str, str | None]]], rng: random.Random, seed: int, count: int
    ) -> tuple[ClipTask, ...]:
        """Return drawn clips with their crops and moments, filled up to `count` with empty ones."""
        jitter = self._augment is not None and self._augment.jitter
        clips = [
            _clip(row, text, _crop(rng, self._augment, text), seed_of(seed, number) if jitter else None)
            for number, (row, text) in enumerate(drawn)
        ]
        return (*clips, *[ClipTask.empty(self.terms)] * (count - len(clips)))

    def _texts(self, row: ClipRow) -> dict[str, str | None]:
        return {
            term: next((row.texts[c] for c in columns if row.texts[c]), None)
            for term, columns in self._preferred.items()
        }


def _video_of(root: tuple[LoadedShard, int]) -> str:
    shard, number = root
    return shard.videos[number]


def _preferred(setting: str, columns: str | Sequence[str]) -> list[str]:
    names = [columns] if isinstance(columns, str) else list(columns)
    return [check_column(setting, name) for name in names]


def _weighted(rng: random.Random, weights: Mapping[str, float]) -> str:
    """Draw a name by weight."""
    point = rng.random() * sum(weights.values())
    for name, weight in weights.items():
        point -= weight
        if point < 0:
            return name
    return next(name for name, weight in weights.items() if weight)


def _draw(
    rng: random.Random,
    rows: Sequence[ClipRow],
    usable: Sequence[int],
    weights: Sequence[float],
    count: int,
    repeat: bool,
) -> list[int]:
    """Draw clips, and return their row numbers: a level by weight, then one of its clips that is not drawn yet."""
    by_level = [[n for n in usable if rows[n].level == level] for level in LEVELS]
    if not usable:
        return []
    left = [list(numbers) for numbers in by_level]
    drawn: list[int] = []
    for level in draw_levels(rng, tuple(map(len, by_level)), weights, count, repeat):
        if not any(left):
            left = [list(numbers) for numbers in by_level]
        drawn.append(left[level].pop(int(rng.random() * len(left[level]))))
    return drawn


def _leaves(rows: Sequence[ClipRow], usable: Sequence[int]) -> list[int]:
    """Return the row numbers of the usable clips that contain no other usable clip, in order of time."""
    parents = {rows[n].parent_key for n in usable}
    return sorted((n for n in usable if rows[n].key not in parents), key=lambda n: rows[n].start)


def _crop(rng: random.Random, augment: AugmentSettings | None, texts: Mapping[str, str | None]) -> Crop:
    return CENTER if augment is None else draw_crop(rng, augment, texts.values())


def _clip(row: ClipRow, texts: Mapping[str, str | None], crop: Crop, jitter: int | None) -> ClipTask:
    start, end, offset = row.start, row.end, max(row.offset, 0.0)
    return ClipTask(row.key, offset, offset + end - start, start, end, texts, crop, jitter)
