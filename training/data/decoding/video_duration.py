"""How long a video file is, from its container alone where that says so: nothing is decoded.

Sampling a window of a video of unknown length needs it before `training.data.decoding.clip_decoder` is asked for frames.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from runtime.untrusted_media import OPEN_OPTIONS, local_only
from training.data.clip_failure import ClipFailed
from training.data.decoding.packet_index import video_stream


def video_seconds(path: Path) -> float:
    """Seconds from the first frame to the end of a local video file.

    Taken from the video stream, else from the times of its packets: what a container without the former says is the
    length of its longest stream, sound included.

    Raises:
        ClipFailed: it can't be opened, or holds no video.
    """
    try:
        with av.open(local_only(path), options=OPEN_OPTIONS, metadata_errors="replace") as container:
            stream = video_stream(container)
            if stream.duration:
                return float(stream.duration * stream.time_base)
            return _counted(container, stream)
    except FileNotFoundError:
        raise ClipFailed("missing", f"{path}: no such file") from None
    except (av.FFmpegError, ValueError) as error:
        raise ClipFailed("undecodable", f"{path}: no video container that can be opened ({error})") from None


def _counted(container: Any, stream: Any) -> float:
    """From the first to the end of the last packet."""
    times = [(packet.pts, packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None]
    if not times:
        raise ClipFailed("truncated", f"{container.name}: no picture in the file")
    return float((max(pts + length for pts, length in times) - min(pts for pts, _ in times)) * stream.time_base)
