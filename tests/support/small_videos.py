"""Videos of half a second in each container, made once a process, and bytes to do harm with."""

from __future__ import annotations

import functools
import struct
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runtime.processes import ffmpeg_binary, run

_X264: Final = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "6")
ENCODERS: Final[dict[str, Sequence[str]]] = {
    "mp4": (*_X264, "-movflags", "+faststart"),
    "mov": (*_X264, "-movflags", "+frag_keyframe+empty_moov"),
    "mkv": _X264,
    "webm": ("-c:v", "libvpx", "-deadline", "realtime"),
    "avi": ("-c:v", "mpeg4"),
    "ts": _X264,
    "ogv": ("-c:v", "libtheora"),
    "flv": _X264,
    "gif": (),
}
"""Options of ffmpeg by the suffix of the container."""


@functools.cache
def small_video(suffix: str) -> bytes:
    """Return a video of 64 x 48 pixels and six frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"v.{suffix}"
        args: list[str | Path] = [ffmpeg_binary(), "-v", "error", "-nostdin", "-f", "lavfi"]
        run([*args, "-i", "testsrc2=s=64x48:r=12:d=0.5", *ENCODERS[suffix], path], timeout=120)
        return path.read_bytes()


def remuxed(data: bytes, suffix: str, *args: str, before: Sequence[str] = (), picture: bytes | None = None) -> bytes:
    """Return a video copied into another file by ffmpeg with `args`; `picture` is a second input."""
    with tempfile.TemporaryDirectory() as folder:
        given, made, cover = (Path(folder) / name for name in ("given", f"made.{suffix}", "cover.png"))
        given.write_bytes(data)
        second: list[str | Path] = []
        if picture is not None:
            cover.write_bytes(picture)
            second = ["-i", cover]
        start: list[str | Path] = [ffmpeg_binary(), "-v", "error", "-nostdin", *before, "-i", given, *second]
        run([*start, "-map", "0", "-c", "copy", *[arg.format(cover=cover) for arg in args], made], timeout=120)
        return made.read_bytes()


def patched(data: bytes, mark: bytes, skip: int, value: bytes) -> bytes:
    """Return `data` with `value` at `skip` bytes after the first `mark`."""
    at = data.index(mark) + len(mark) + skip
    return data[:at] + value + data[at + len(value) :]


def png(width: int, height: int, depth: int = 8) -> bytes:
    """Return a PNG of one grey that is black and compresses well; its pixels are `depth` bits."""
    row = bytes(1 + (width * depth + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def box(kind: bytes, data: bytes) -> bytes:
    """Return a box of an MP4 file."""
    return struct.pack(">I", 8 + len(data)) + kind + data
