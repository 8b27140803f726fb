"""One decode of a video feeds everything: the stored encode, shot detection, motion, and stills for captions.

After speech is known and before clips are: sentence boundaries become IDR frames, so that root clips can later be
cut out by copy (`curation.media.clips.root_cutting`). ffmpeg does the work in one process; its thumbnails are read from a pipe
one at a time, so memory does not grow with the video's length.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from curation.media.clips.keyframe_choice import Still
from curation.media.picture.encode_command import ENCODED, STILLS, Job, command
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.probe import Probe, open_video
from curation.sources.ledger import SourceFailed
from runtime.processes import ProcessFailed, Tail, kill, raise_for, start

_GRACE: Final = 120.0  # wall seconds on top of what the length allows
_ROUNDING: Final = 1e-6  # seconds; times within it of a frame are that frame's


@dataclass(frozen=True, eq=False)
class Encoded:
    """The kept span of a video as it is stored; frame i shows the video at second ``start + i / fps``."""

    path: Path
    width: int
    height: int
    fps: float
    num_frames: int
    start: float
    """Second of the video that frame 0 shows."""
    keyframes: tuple[int, ...]
    """Indices of the IDR frames, ascending; the first is 0."""
    shots: tuple[float, ...]
    """Seconds of the video at which a new shot begins, ascending; the beginning itself is not among them."""
    stills: tuple[Still, ...]
    """Candidates for keyframes, evenly spaced, in order."""
    motion: NDArray[np.float32]
    """For each frame, the mean absolute difference of luma to the frame before, 0 to 1."""

    @property
    def end(self) -> float:
        """Second of the video at which the last frame ends; earlier than asked for where the picture ends earlier."""
        return self.start + self.num_frames / self.fps

    def frame_at(self, seconds: float) -> int:
        """Index of the frame shown at a second of the video; not limited to the frames there are."""
        return frame_at(seconds - self.start, self.fps)

    def frame_from(self, seconds: float) -> int:
        """Index of the first frame that begins at a second of the video or later; not limited either."""
        return math.ceil((seconds - self.start - _ROUNDING) * self.fps)

    def motion_between(self, start: float, end: float) -> float:
        """Mean motion of the frames that begin in ``(start, end)``, 0 to 1; 0 where there are none."""
        part = self.motion[max(self.frame_at(start) + 1, 1) : max(self.frame_from(end), 0)]
        return float(part.mean()) if part.size else 0.0


def frame_at(seconds: float, fps: float) -> int:
    """Index of the frame shown `seconds` after the first."""
    return math.floor((seconds + _ROUNDING) * fps)


def encode(
    path: Path,
    probe: Probe,
    start: float,
    end: float,
    boundaries: Sequence[float],
    settings: EncodeSettings,
    scratch: Path,
) -> Encoded:
    """Encode ``[start, end)`` of a video once, and learn all that needs its pictures on the way.

    Args:
        path: the video file.
        probe: what `curation.media.picture.probe.probe` says of it.
        start: second of the video to begin at.
        end: second of the video to end at.
        boundaries: seconds of the video that get an IDR frame, at the frame shown then.
        settings: sizes and rates.
        scratch: an existing folder; the results are left in it.

    Raises:
        SourceFailed: ``corrupt`` (less than `min_share` of it can be read), ``internal`` (it takes too long, or
            crashes the decoder).
        MachineError: the disk is full, or ffmpeg can't be started.
    """
    job = Job.of(path, probe, start, end, [frame_at(b - start, settings.fps) for b in boundaries], settings)
    args = command(job, settings)
    watcher = _watcher(settings)
    report = _run(args, scratch, watcher, _GRACE + settings.time_limit_factor * (end - start))
    encoded = scratch / ENCODED
    keyframes, num_frames = _frames(encoded, settings.fps)
    _judge(report, num_frames, job, probe, settings)
    return Encoded(
        path=encoded,
        width=job.size.width,
        height=job.size.height,
        fps=settings.fps,
        num_frames=num_frames,
        start=start,
        keyframes=keyframes,
        shots=tuple(start + cut / settings.fps for cut in watcher.cuts if cut < num_frames),
        stills=tuple(_stills(scratch, start, job.still_step / settings.fps)),
        motion=watcher.motion[:num_frames],
    )


def _watcher(settings: EncodeSettings) -> Any:
    from curation.media.picture.shot_detection import PictureWatcher

    return PictureWatcher(settings.fps, settings.min_shot, settings.shot_threshold)


def _run(args: Sequence[str], scratch: Path, watcher: Any, limit: float) -> str:
    """Run ffmpeg to its end while its thumbnails are watched; what it says about it."""
    from curation.media.picture.encode_command import THUMBNAIL

    process = start(args, cwd=scratch)
    assert process.stdout is not None and process.stderr is not None
    tail = Tail(process.stderr)
    late = threading.Event()

    def stop() -> None:
        late.set()
        kill(process)

    watchdog = threading.Timer(limit, stop)
    watchdog.daemon = True
    watchdog.start()
    try:
        for frame in _thumbnails(process.stdout, *THUMBNAIL):
            watcher.add(frame)
        process.wait()
        tail.join()
    finally:
        watchdog.cancel()
        if process.poll() is None:
            kill(process)
        process.stdout.close()
    if late.is_set():
        raise SourceFailed("internal", f"encoding took longer than {limit:.0f} s")
    try:
        raise_for(args, process.returncode, tail.text)
    except ProcessFailed as error:
        class_: Literal["internal", "corrupt"] = "internal" if process.returncode < 0 else "corrupt"
        raise SourceFailed(class_, str(error)) from None
    return tail.text


def _thumbnails(pipe: IO[bytes], width: int, height: int) -> Any:
    size = width * height * 3
    while len(data := pipe.read(size)) == size:
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _frames(encoded: Path, fps: float) -> tuple[tuple[int, ...], int]:
    """Indices of the IDR frames, and the number of frames, from the file itself."""
    keyframes, count = [], 0
    if not encoded.exists() or encoded.stat().st_size == 0:
        return (), 0
    with open_video(encoded, "mov") as container:
        for packet in container.demux(video=0):
            if packet.size == 0:
                continue
            index = round(packet.pts * packet.time_base * Fraction(fps))
            assert index == count, "the stored frames are evenly spaced"
            if packet.is_keyframe:
                keyframes.append(count)
            count += 1
    return tuple(keyframes), count


def _judge(report: str, num_frames: int, job: Job, probe: Probe, settings: EncodeSettings) -> None:
    """Whether enough of the video could be read."""
    if num_frames == 0:
        raise SourceFailed("corrupt", "no picture can be decoded from it")
    seconds, stated = num_frames / settings.fps, _stated_seconds(job, probe, settings)
    if seconds < settings.min_share * stated:
        raise SourceFailed("corrupt", f"its picture ends after {seconds:.1f} of {stated:.1f} s")
    line = re.search(rf"Input stream #0:{probe.video.index}\b.*?(\d+) frames decoded; (\d+) decode errors", report)
    if line is None:  # an ffmpeg that doesn't say
        return
    decoded, errors = int(line[1]), int(line[2])
    if decoded < settings.min_share * (decoded + errors):
        raise SourceFailed("corrupt", f"only {decoded} of {decoded + errors} of its pictures can be decoded")


def _stated_seconds(job: Job, probe: Probe, settings: EncodeSettings) -> float:
    """Seconds of picture in the span, as the container has it: sound may well go on after the picture."""
    asked = job.num_frames / settings.fps
    if probe.video.duration is None:
        return asked
    return min(asked, max(probe.video.duration - job.seek - job.skip, 1 / settings.fps))


def _stills(scratch: Path, start: float, step: float) -> list[Still]:
    files = sorted(scratch.glob(STILLS.replace("%06d", "*")))
    return [Still(start + int(file.stem.rpartition("_")[2]) * step, file) for file in files]
