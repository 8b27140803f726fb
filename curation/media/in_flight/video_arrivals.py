"""Download the videos of a shard ahead of the encoder, and hand them over as they arrive."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Final, NamedTuple

from curation.media.download.downloaded_video import DownloadedVideo
from curation.media.in_flight.shard_sources import SourceInShard
from runtime.retry_limits import DOWNLOAD_STOP_SECONDS
from runtime.stoppable_threads import StoppableThreads

_POLL_SECONDS: Final = 0.5
Fetch = Callable[[SourceInShard], DownloadedVideo]
"""Download the video of a source; called in threads."""


class Arrival(NamedTuple):
    """A video whose download has ended, well or badly."""

    sources: Sequence[SourceInShard]
    """The sources of the shard that are spans of it."""
    download: Future[DownloadedVideo] | None
    """None: it is late, and is not waited for."""


@dataclass(frozen=True)
class Patience:
    """The limits to waiting for the last downloads of a shard while there is nothing else to do."""

    seconds: float
    """0: no limit."""
    most_late: int
    """Most sources that may be late."""


def arrivals(
    videos: Sequence[Sequence[SourceInShard]], fetch: Fetch, ahead: int, patience: Patience
) -> Generator[Arrival, None, None]:
    """Yield each video when its download has ended; the earliest in the list first if several have.

    While a video is being worked on, at most `ahead` others are downloading or have arrived. If the generator is closed
    early, because the machine failed, those in flight are stopped with their processes: the shard is not committed, so
    their sources stay pending.

    Args:
        videos: the sources of each video.
        fetch: see `Fetch`.
        ahead: downloads at a time, at least 1.
        patience: how long the last downloads are waited for.
    """
    pool = StoppableThreads(ahead, "download")
    waiting = deque(videos)
    started: dict[Future[DownloadedVideo], Sequence[SourceInShard]] = {}
    arrived: Arrival | None = None
    idle_since = time.monotonic()
    try:
        while waiting or started or arrived:
            while waiting and len(started) < ahead:
                sources = waiting.popleft()
                started[pool.submit(fetch, sources[0])] = sources
            if arrived:
                yield arrived
                idle_since = time.monotonic()
            first = next((download for download in started if download.done()), None)
            arrived = Arrival(started.pop(first), first) if first else None
            if first is None and not waiting and _are_late(started.values(), patience, idle_since):
                yield from (Arrival(sources, None) for sources in started.values())
                return
            if first is None:
                wait(started, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
    finally:
        pool.stop()
        pool.wait(seconds=DOWNLOAD_STOP_SECONDS.seconds)


def _are_late(videos: Collection[Sequence[SourceInShard]], patience: Patience, idle_since: float) -> bool:
    """Return True if downloads are not to be waited for any longer."""
    few = sum(map(len, videos)) <= patience.most_late
    return few and patience.seconds > 0 and time.monotonic() - idle_since >= patience.seconds
