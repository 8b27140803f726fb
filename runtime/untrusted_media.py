"""Limits for opening an untrusted media file with libav: containers, protocols, picture size.

Curation opens downloaded files, training other people's videos. A playlist named ``.mp4`` can make libav read other
files, and a small file can ask for any amount of memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

DEMUXERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "avi",
    "mpegts",
    "flv",
    "mpeg",
    "ogg",
    "asf",
    "rm",
    "mxf",
    "nut",
    "ivf",
)
"""libavformat's demuxers for containers that hold their own video; none of them opens a second file."""

OPEN_OPTIONS: Final = {"protocol_whitelist": "file", "format_whitelist": ",".join(DEMUXERS)}
"""Options with which every untrusted container is opened."""

MAX_PIXELS: Final = 1 << 26
"""The most pixels of a picture (8,192 x 8,192)."""


def local_only(path: Path) -> str:
    """Return the address under which libav opens `path` as a local file, even if its name looks like a URL."""
    return f"file:{path.resolve()}"


def readable_packets(container: Any, *streams: Any) -> Iterator[Any]:
    """Yield the packets of an open container that hold data, up to the end of the file or the first read error."""
    import av

    demuxed = container.demux(*streams)
    while True:
        try:
            packet = next(demuxed)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size:
            yield packet
