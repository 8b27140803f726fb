"""Duration of a video as its container states it, for clocks that do not start at 0.

Containers have one field for the duration, and writers disagree on what it holds: the length of the recording, or
its last time stamp. The two differ if the first time stamp is not 0, as in parts of a live stream. The last packets
decide which one was written.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import av

from curation.media.picture.video_file import open_video
from runtime.untrusted_media import readable_packets

_STARTS_AT_ZERO: Final = 0.05  # seconds; an encoder's delay, which is no reason to read the end of the file


def stated_duration(container: Any, path: Path, max_seconds: float = 10.0) -> float | None:
    """Return the seconds from the first time stamp to the last; None if the container states no duration.

    Args:
        container: the opened file.
        path: the same file.
        max_seconds: wall seconds to spend on finding the last packet; after them, the field is taken for an end.
    """
    if container.duration is None or container.duration <= 0:
        return None
    stated, start = container.duration / av.time_base, (container.start_time or 0) / av.time_base
    if abs(start) < _STARTS_AT_ZERO or stated <= start:
        return float(stated)
    end = _last_time(container, path, (start + stated, stated), time.monotonic() + max_seconds)
    measured = stated - start if end is None else end - start
    return float(min((stated, stated - start), key=lambda length: abs(length - measured)))


def _last_time(container: Any, path: Path, near: tuple[float, ...], deadline: float) -> float | None:
    """Return the latest time stamp after the last of `near` that can be sought; None if no packet is there."""
    format_ = container.format.name.partition(",")[0]
    for target in near:
        latest = None
        with open_video(path, format_) as file:
            try:
                file.seek(int(target * av.time_base))
            except av.FFmpegError:
                continue
            for packet in readable_packets(file, *_timed_streams(file)):
                if time.monotonic() > deadline:
                    return None
                if packet.pts is not None:
                    shown = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    latest = shown if latest is None else max(latest, shown)
        if latest is not None:
            return latest
    return None


def _timed_streams(container: Any) -> list[Any]:
    return [stream for stream in container.streams if stream.type in ("video", "audio")]
