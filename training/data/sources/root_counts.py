"""Counts the roots of a split in every shard of a source, once for all runs of a machine over the same data.

The counts are needed before the first batch: they say how long an epoch is, and how large a window of shards. Of many
shards they are kept in the cache folder, by the digests of the media and of the selection that they come from.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from runtime.log import get_logger
from runtime.models.model_uri import cache_folder
from runtime.progress_bar import progress_bar
from runtime.settings import content_hash
from shards.schema import LEVELS
from shards.storage.files import write_file
from training.data.order.level_sampling import Stock
from training.data.sources.shard_tables import ShardRef, column_lists, read_shard, rows_of_split

KEPT_FROM: Final = 1000
"""Shards from which on the counts are kept; fewer are counted in seconds."""
_FILES: Final = 32
"""Files of counts that are kept, the newest ones."""
_THREADS: Final = 8
_COLUMNS: Final = ("root_key", "parent_key", "level", "keep", "split", "video_id")
_MAX_STOCK: Final = 64
"""Largest number of clips of a level in one root that is counted."""
_LOG = get_logger(__name__)


@dataclass(frozen=True)
class RootCounts:
    """The roots of a split."""

    roots: tuple[int, ...]
    """In each shard."""
    videos: tuple[int, ...]
    """Their videos, in each shard."""
    stocks: Counter[Stock]
    """Number of roots with each stock of clips."""

    def to_json(self) -> str:
        """Return the form that is kept in a file."""
        return json.dumps({"roots": self.roots, "videos": self.videos, "stocks": list(self.stocks.items())})

    @classmethod
    def from_json(cls, text: bytes) -> RootCounts:
        """Read what `to_json` wrote.

        Raises:
            ValueError: `text` is no such form.
        """
        try:
            values = json.loads(text)
            stocks = Counter({tuple(stock): roots for stock, roots in values["stocks"]})
            return cls(tuple(values["roots"]), tuple(values["videos"]), stocks)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no counts of roots ({error})") from None


def count_roots(shards: Sequence[ShardRef], split: str, only_kept: bool, chosen: bool = False) -> RootCounts:
    """Count the roots of a split and their videos in each shard, and the roots with each stock of clips.

    Args:
        shards: to count in.
        split: `train` or `val`.
        only_kept: leave clips that are not kept out of the stocks.
        chosen: leave out roots without a kept clip.

    Raises:
        ShardError: a table is missing or unreadable.
    """
    marks = _marks(shards)
    if len(shards) < KEPT_FROM or marks is None:
        return _count(shards, split, only_kept, chosen)
    made_from = content_hash(marks, [[shard.number, shard.digest] for shard in shards], next(iter(shards[0].datasets)))
    file = cache_folder() / "root-counts" / f"{content_hash(made_from, split, only_kept, chosen)}.json"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):  # the other ranks of a machine wait for the first one
            return _kept(file, shards, split, only_kept, chosen)
    except (OSError, NotImplementedError) as error:
        _LOG.info("counts of roots are not kept: %s: %s", file, error)
        return _count(shards, split, only_kept, chosen)


def _marks(shards: Sequence[ShardRef]) -> list[str] | None:
    """Return the digest of the selection of each DIR; None if one has marks in its texts, which have no digest."""
    selections = {shard.folder: next(iter(shard.datasets.values())).selection for shard in shards}
    digests = [selection.digest for selection in selections.values() if selection is not None]
    return digests if len(digests) == len(selections) else None


def _kept(file: Path, shards: Sequence[ShardRef], split: str, only_kept: bool, chosen: bool) -> RootCounts:
    """Return the counts in a file; make it if it is missing or damaged."""
    with suppress(FileNotFoundError, ValueError):
        counts = RootCounts.from_json(file.read_bytes())
        if len(counts.roots) == len(shards):
            return counts
    counts = _count(shards, split, only_kept, chosen)
    write_file(file, counts.to_json().encode())
    for old in sorted(file.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)[:-_FILES]:
        old.unlink(missing_ok=True)
    return counts


def _count(shards: Sequence[ShardRef], split: str, only_kept: bool, chosen: bool) -> RootCounts:
    roots: list[int] = []
    videos: list[int] = []
    stocks: Counter[Stock] = Counter()
    with progress_bar("counting roots") as advance, ThreadPoolExecutor(_THREADS) as pool:
        for held, distinct in pool.map(lambda shard: _stocks(shard, split, only_kept, chosen), shards):
            roots.append(len(held))
            videos.append(distinct)
            stocks.update(held)
            advance(len(roots), len(shards))
    return RootCounts(tuple(roots), tuple(videos), stocks)


def _stocks(shard: ShardRef, split: str, only_kept: bool, chosen: bool) -> tuple[list[Stock], int]:
    """Return the number of clips of each level for every root of a split (or with a kept clip), and their videos."""
    table = rows_of_split(read_shard(shard, next(iter(shard.datasets)), _COLUMNS), split)
    roots, parents, levels, keep, videos = column_lists(table, "root_key", "parent_key", "level", "keep", "video_id")
    held = {root: [0] * len(LEVELS) for root, parent in zip(roots, parents, strict=True) if parent is None}
    for root, level, kept in zip(roots, levels, keep, strict=True):
        if (kept or not only_kept) and root in held:
            number = LEVELS.index(level)
            held[root][number] = min(held[root][number] + 1, _MAX_STOCK)
    stocks = {root: tuple(stock) for root, stock in held.items() if any(stock) or not chosen}
    return list(stocks.values()), len({video for root, video in zip(roots, videos, strict=True) if root in stocks})
