"""Limits for opening an untrusted media file with libav: containers, protocols, pixels, streams, memory.

Curation opens downloaded files, training other people's videos. A playlist named ``.mp4`` can make libav read other
files, and a small file can ask for any amount of memory (`shards.media.media_limits`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from shards.media.media_limits import LIBAV_LIMITS
from shards.media.media_limits import MAX_PIXELS as MAX_PIXELS

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

OPEN_OPTIONS: Final = {"protocol_whitelist": "file", "format_whitelist": ",".join(DEMUXERS), **LIBAV_LIMITS}
"""Options with which PyAV opens every untrusted container."""

FFMPEG_MEMORY: Final = 4 << 30
"""Bytes that an ffmpeg process may use for one video: seventeen frames of 8K with 10 bits are 1.7 GB."""


def ffmpeg_input_options(demuxer: str) -> dict[str, Any]:
    """Return the options with which ffmpeg opens a local file whose demuxer is known."""
    return {"format": demuxer, "protocol_whitelist": "file,pipe", **LIBAV_LIMITS}


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
