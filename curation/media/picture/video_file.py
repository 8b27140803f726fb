"""Open a video file from outside safely: local files only, whitelisted containers, recognized by content.

A playlist named ``.mp4`` can't make libav read another file, because neither its protocol nor its format is allowed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from curation.sources.ledger import SourceFailed
from runtime.untrusted_media import OPEN_OPTIONS, local_only
from shards.media.media_limits import MAX_STREAMS


def open_video(path: Path, format_: str | None = None) -> Any:
    """Open a local file with PyAV under the whitelists; `format_` forces a demuxer (`Probe.format`).

    Raises:
        av.FFmpegError: libav can't open the file, or its format is not in `runtime.untrusted_media.DEMUXERS`.
    """
    return av.open(local_only(path), format=format_, options=OPEN_OPTIONS, metadata_errors="replace")


def open_unknown_file(path: Path) -> Any:
    """Open a file that may not be a video at all.

    Raises:
        SourceFailed: ``not_video`` (the file is empty or not a known container), ``corrupt`` (a known container that
            can't be opened).
        av.PermissionError: this process may not read the file.
    """
    if path.stat().st_size == 0:
        raise SourceFailed("not_video", "the file is empty")
    try:
        return open_video(path)
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, av.PermissionError):
            raise
        kind = _container_by_first_bytes(path)
        if kind is None:
            raise SourceFailed("not_video", "the file is not a known video container") from None
        raise SourceFailed("corrupt", f"a {kind} file that can't be opened: {_reason(error)}") from None


def _container_by_first_bytes(path: Path) -> str | None:
    """Return the container that the first bytes announce; libav by itself would trust the file's name."""
    with path.open("rb") as file:
        head = file.read(400)
    boxes = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp")
    signs = {
        "MP4": head[4:8] in boxes,
        "Matroska": head.startswith(b"\x1aE\xdf\xa3"),
        "AVI": head.startswith(b"RIFF") and head[8:12] == b"AVI ",
        "FLV": head.startswith(b"FLV\x01"),
        "ASF": head.startswith(bytes.fromhex("3026b2758e66cf11")),
        "MPEG": head.startswith((b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")),
        "MPEG-TS": len(head) > 376 and head[0] == head[188] == head[376] == 0x47,
        "Ogg": head.startswith(b"OggS"),
    }
    return next((kind for kind, matches in signs.items() if matches), None)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"it has more than {MAX_STREAMS} streams, or asks for too much memory"
    return getattr(error, "strerror", None) or str(error)
