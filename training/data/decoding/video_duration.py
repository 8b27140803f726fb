"""The duration of a video file, read from its container without decoding.

It is needed to sample a window of a video before `training.data.decoding.clip_decoder` decodes the window.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from runtime.untrusted_media import OPEN_OPTIONS, local_only
from training.data.clip_failure import ClipFailed
from training.data.decoding.packet_index import video_stream


def video_seconds(path: Path) -> float:
    """Return the seconds from the first frame to the end of a local video file.

    The duration is that of the video stream; if the container does not state it, it is derived from the times of the
    packets. The container's own duration is that of its longest stream, which may be the sound.

    Raises:
        ClipFailed: the file can't be opened, or has no video.
    """
    try:
        with av.open(local_only(path), options=OPEN_OPTIONS, metadata_errors="replace") as container:
            stream = video_stream(container)
            if stream.duration:
                return float(stream.duration * stream.time_base)
            return _from_packets(container, stream)
    except FileNotFoundError:
        raise ClipFailed("missing", f"{path}: no such file") from None
    except (av.FFmpegError, ValueError) as error:
        raise ClipFailed("undecodable", f"{path}: no video container that can be opened ({error})") from None


def _from_packets(container: Any, stream: Any) -> float:
    """Return the seconds from the start of the first packet to the end of the last."""
    times = [(packet.pts, packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None]
    if not times:
        raise ClipFailed("truncated", f"{container.name}: no picture in the file")
    return float((max(pts + length for pts, length in times) - min(pts for pts, _ in times)) * stream.time_base)
