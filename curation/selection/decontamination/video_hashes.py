"""Frame hashes of a benchmark's video files, made as the score `frame_hashes` makes those of a DIR.

A file is decoded by ffmpeg, in a process with limits on time and memory that opens no other file. A file that can't be
decoded is counted, and has no hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation.scores.picture.frame_hashes import hash_frames
from curation.selection.deduplication.perceptual.frame_alignment import Hashes, Seconds
from runtime.processes import ProcessFailed, ProcessTimeout, ffmpeg_binary, run
from runtime.retry_limits import BENCHMARK_VIDEO_SECONDS
from runtime.untrusted_media import DEMUXERS, FFMPEG_MEMORY, local_only

PER_SECOND: Final = 2
_SIZE: Final = (128, 72)
_MOST_SECONDS: Final = 3600

VideoHashes = tuple[Seconds, Hashes]


def video_hashes(path: Path) -> VideoHashes | None:
    """Return times and hashes of the frames of a video, two a second, of its first hour; None if it is unreadable."""
    frames = _frames(path)
    if frames is None:
        return None
    times, hashes = hash_frames([(number / PER_SECOND, luma) for number, luma in enumerate(frames)])
    return np.array(times), np.array(hashes, np.uint64)


def hash_videos(
    paths: Sequence[Path], progress: Callable[[int, int], None] | None = None
) -> tuple[dict[int, VideoHashes], int]:
    """Return the hashes of videos by their place, and the number of those that are unreadable."""
    found: dict[int, VideoHashes] = {}
    for number, path in enumerate(paths):
        hashes = video_hashes(path)
        if hashes is not None:
            found[number] = hashes
        if progress is not None:
            progress(number + 1, len(paths))
    return found, len(paths) - len(found)


def _frames(path: Path) -> Sequence[NDArray[np.uint8]] | None:
    width, height = _SIZE
    command = [
        ffmpeg_binary(), "-v", "error", "-nostdin", "-protocol_whitelist", "file,pipe",
        "-format_whitelist", ",".join(DEMUXERS), "-t", str(_MOST_SECONDS), "-i", local_only(path),
        "-map", "0:v:0", "-vf", f"fps={PER_SECOND},scale={width}:{height}:flags=area",
        "-pix_fmt", "gray", "-f", "rawvideo", "pipe:1",
    ]  # fmt: skip
    most = (_MOST_SECONDS * PER_SECOND + 2) * width * height
    try:
        done = run(command, timeout=BENCHMARK_VIDEO_SECONDS.seconds, check=False, max_output=most, memory=FFMPEG_MEMORY)
    except (ProcessFailed, ProcessTimeout):
        return None
    frames = np.frombuffer(done.stdout[: len(done.stdout) // (width * height) * width * height], np.uint8)
    return list(frames.reshape(-1, height, width)) if len(frames) else None
