"""How a media file from outside is opened with libav: what it may be, what it may read, how large it may get.

Both sides open such files: curation what it downloads, training other people's videos. A playlist named ``.mp4`` can
make libav read something else, and a small file can ask for any amount of memory.
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
"""What every container from outside is opened with."""

MAX_PIXELS: Final = 1 << 26
"""Pixels that a picture may have (8,192 x 8,192)."""


def local_only(path: Path) -> str:
    """The address under which libav opens `path` as a local file, whatever its name looks like."""
    return f"file:{path.resolve()}"


def readable_packets(container: Any, *streams: Any) -> Iterator[Any]:
    """The packets of an open container with data, up to the end of the file or to where it can't be read on."""
    import av

    demuxed = container.demux(*streams)
    while True:
        try:
            packet = next(demuxed)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size:
            yield packet
