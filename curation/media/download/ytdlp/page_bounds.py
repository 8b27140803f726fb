"""Bounds on the pages, feeds and manifests that yt-dlp reads in a download process: bytes, elements, CPU time, memory.

A page comes from outside and may be endless, or built so that a search through it never ends. Python can't interrupt
such a search, so the bound on CPU time is a timer of the kernel that ends the process; the downloader knows the signal.
"""

from __future__ import annotations

import re
import resource
import signal
from typing import Any, Final

from curation.media.download.download_errors import Failure
from curation.media.download.ytdlp.fetch_request import FetchOutcome, FetchStopped
from curation.media.download.ytdlp.fetch_traffic import FetchTraffic
from runtime.retry_limits import DOWNLOAD_MEMORY, PAGE_ELEMENTS

CPU_SIGNAL: Final = signal.SIGPROF
"""The signal that ends a process whose pages took too much CPU time."""

_PIECE: Final = 1 << 16
_ELEMENT: Final = re.compile(
    rb"<(?:[a-z0-9]{1,8}-)?(?:video|audio|source|iframe|embed|object|item|entry)\b|#EXT-X-STREAM-INF|ld\+json",
    re.IGNORECASE,
)
"""Elements of pages, feeds and playlists that yt-dlp looks at one by one."""


def limit_memory() -> None:
    """Bound the memory of this process and of those that it starts; more raises `MemoryError`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = min(DOWNLOAD_MEMORY.count, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY), 1 << 62)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))


def start_page_clock(seconds: float) -> None:
    """End this process by `CPU_SIGNAL` after so many CPU-seconds, unless `stop_page_clock` is called before."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def stop_page_clock() -> None:
    """Stop the clock: the pages have been read, and files are fetched now."""
    signal.setitimer(signal.ITIMER_PROF, 0)


def bound_whole_reads(response: Any, max_bytes: int, traffic: FetchTraffic) -> Any:
    """Bound reads of a whole response, as of a page; files are read in pieces and have bounds of their own.

    Args:
        response: a response of yt-dlp; its `read` is replaced.
        max_bytes: most bytes, after decompression.
        traffic: counts what is read.
    """
    read_raw = response.read

    def read(amount: int | None = None) -> bytes:
        data = bytes(read_raw(amount))
        traffic.received += len(data)
        return data

    def bounded(amount: int | None = None) -> bytes:
        return read(amount) if amount is not None else _whole(read, max_bytes)

    response.read = bounded
    return response


def _whole(read: Any, max_bytes: int) -> bytes:
    """Return all that is left to read.

    Raises:
        FetchStopped: it has too many bytes or elements.
    """
    data = bytearray()
    while piece := read(_PIECE):
        data += piece
        if len(data) > max_bytes:
            raise _stopped(f"a page of more than {max_bytes} bytes (download.max_page_bytes)")
    elements = sum(1 for _ in _ELEMENT.finditer(data))
    if elements > PAGE_ELEMENTS.count:
        raise _stopped(f"a page with {elements} media elements: give each video its own line")
    return bytes(data)


def _stopped(message: str) -> FetchStopped:
    return FetchStopped(FetchOutcome(failure=Failure("not_video", message)))
