"""Download the videos of a shard ahead of the encoder, and hand them over as they arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Final, NamedTuple

from curation.media.download.downloaded_video import DownloadedVideo
from curation.media.in_flight.shard_sources import ShardSource
from runtime.retry_limits import DOWNLOAD_STOP_SECONDS
from runtime.stoppable_threads import StoppableThreads

_POLL_SECONDS: Final = 0.5
Fetch = Callable[[ShardSource], DownloadedVideo]
"""Download the video of a source; called in threads."""


class Arrival(NamedTuple):
    """A video whose download has ended, well or badly."""

    sources: Sequence[ShardSource]
    """The sources of the shard that are spans of it."""
    download: Future[DownloadedVideo]


def arrivals(videos: Sequence[Sequence[ShardSource]], fetch: Fetch, ahead: int) -> Generator[Arrival, None, None]:
    """Yield each video when its download has ended; the earliest in the list first if several have.

    While a video is being worked on, at most `ahead` others are downloading or have arrived. If the generator is closed
    early, because the machine failed, those in flight are stopped with their processes: the shard is not committed, so
    their sources stay pending.

    Args:
        videos: the sources of each video.
        fetch: see `Fetch`.
        ahead: downloads at a time, at least 1.
    """
    pool = StoppableThreads(ahead, "download")
    waiting = deque(videos)
    started: dict[Future[DownloadedVideo], Sequence[ShardSource]] = {}
    arrived: Arrival | None = None
    try:
        while waiting or started or arrived:
            while waiting and len(started) < ahead:
                sources = waiting.popleft()
                started[pool.submit(fetch, sources[0])] = sources
            if arrived:
                yield arrived
            first = next((download for download in started if download.done()), None)
            arrived = Arrival(started.pop(first), first) if first else None
            if first is None:
                wait(started, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
    finally:
        pool.stop()
        pool.wait(seconds=DOWNLOAD_STOP_SECONDS.seconds)
