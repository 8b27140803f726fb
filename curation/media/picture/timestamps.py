"""Duration and time-stamp faults of a video file.

Most containers state their duration. For the others all packets are read, within a time limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import av

from curation.media.picture.stated_duration import stated_duration
from curation.media.picture.video_file import open_video
from curation.sources.ledger import SourceFailed
from runtime.untrusted_media import readable_packets

_JUMP_SECONDS: Final = 10.0
# Containers whose stated duration is an estimate from time stamps (which may jump) or from the bit rate.
_SCANNED: Final = frozenset({"mpegts", "mpeg"})


class PacketTimes(NamedTuple):
    """A packet's time stamps in seconds."""

    shown: float | None
    """Presentation time stamp."""
    decoded: float | None
    """Decoding time stamp."""


def timestamp_faults(times: list[PacketTimes]) -> Iterator[str]:
    """Yield the faults in the time stamps of consecutive packets, as named in `Probe.faults`."""
    shown = [packet.shown for packet in times if packet.shown is not None]
    order = [packet.decoded for packet in times if packet.decoded is not None]
    if len(shown) < len(times):
        yield "missing"
    if shown and min(shown) < 0:
        yield "negative"
    steps = [after - before for before, after in pairwise(order)]
    if any(step < 0 for step in steps):
        yield "backwards"
    if any(abs(step) > _JUMP_SECONDS for step in steps):
        yield "jump"


def is_variable_rate(times: list[float], tick: float) -> bool:
    """Return True if more than 2 % of the gaps between frames differ from the median gap.

    Args:
        times: ascending presentation times, seconds.
        tick: the stream's time base in seconds, which limits the precision of `times`.
    """
    gaps = [after - before for before, after in pairwise(times)]
    if len(gaps) < 2:
        return False
    usual = median(gaps)
    return sum(abs(gap - usual) > max(1.5 * tick, 0.1 * usual) for gap in gaps) > 0.02 * len(gaps)


def stream_end(container: Any, stream: Any, duration: float) -> float | None:
    """Return the second of the video, at most `duration`, at which a stream ends; None if it is not reliably stated."""
    if not stream.duration or container.format.name in _SCANNED:
        return None
    first = stream.start_time or 0
    end = float((first + stream.duration) * stream.time_base) - (container.start_time or 0) / av.time_base
    return min(end, duration)


def video_duration(container: Any, path: Path, max_seconds: float) -> tuple[float, bool]:
    """Return the duration in seconds, and True if time stamps jump (detected only if all packets were read).

    Args:
        container: the opened file.
        path: the same file.
        max_seconds: wall seconds to spend on reading all packets.

    Raises:
        SourceFailed: ``corrupt``, if the time limit is reached.
    """
    name = container.format.name
    stated = None if name in _SCANNED else stated_duration(container, path)
    if stated is not None:
        return stated, False
    return _scan_packets(path, name.partition(",")[0], max_seconds)


def _scan_packets(path: Path, format_: str, max_seconds: float) -> tuple[float, bool]:
    """Add up the duration of all packets; jumps of the clock are left out, as ffmpeg's command line does."""
    deadline = time.monotonic() + max_seconds
    progress: dict[int, tuple[float, float]] = {}  # stream index: seconds so far, latest time stamp
    jumped = False
    with open_video(path, format_) as container:
        streams = [s for s in container.streams if s.type in ("video", "audio")]
        for packet in readable_packets(container, *streams):
            if time.monotonic() > deadline:
                raise SourceFailed(
                    "corrupt", f"the container states no duration, and reading it took over {max_seconds:.0f} s"
                )
            length = float((packet.duration or 0) * packet.time_base)
            if packet.dts is None:
                continue
            at = float(packet.dts * packet.time_base)
            so_far, last = progress.get(packet.stream_index, (0.0, at))
            jump = abs(at - last) > _JUMP_SECONDS
            jumped = jumped or jump
            progress[packet.stream_index] = (so_far + (length if jump else max(at - last, 0.0)), at)
    seconds = max((so_far for so_far, _ in progress.values()), default=0.0)
    return seconds, jumped
