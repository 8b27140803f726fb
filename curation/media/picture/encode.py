"""Decode a video once, and get from it the stored encode, shot boundaries, motion, and candidate stills.

Runs after speech is transcribed and before the video is segmented: sentence boundaries become IDR frames, so that
root clips can later be cut by copying (`curation.media.clips.root_cutting`). One ffmpeg process does the work; its
thumbnails are read from a pipe one at a time, so memory does not grow with the video's length.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from curation.media.picture.encode_command import ENCODED, STILLS, THUMBNAIL, EncodeRequest, encode_command
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.encoded_video import CandidateStill, EncodedVideo, frame_at
from curation.media.picture.video_file import open_video
from curation.media.picture.video_records import VideoSpan
from curation.sources.ledger import SourceFailed
from runtime.processes import PipeTail, ProcessFailed, kill, raise_for_status, start
from runtime.retry_limits import ENCODE_GRACE
from runtime.untrusted_media import FFMPEG_MEMORY

if TYPE_CHECKING:  # OpenCV and PySceneDetect are imported only by the process that encodes
    from curation.media.picture.shot_detection import ShotDetector


def encode(span: VideoSpan, boundaries: Sequence[float], settings: EncodeSettings, scratch: Path) -> EncodedVideo:
    """Encode a span of a video, and extract everything that needs its pictures in the same pass.

    Args:
        span: the part of the video to keep.
        boundaries: seconds of the video; the frame shown at each becomes an IDR frame.
        settings: sizes and rates.
        scratch: an existing folder; the results are written into it.

    Raises:
        SourceFailed: ``corrupt`` (less than `min_share` of it can be read), ``internal`` (it takes too long, or
            crashes the decoder).
        MachineError: the disk is full, or ffmpeg can't be started.
    """
    forced = [frame_at(boundary - span.start, settings.fps) for boundary in boundaries]
    request = EncodeRequest.of(span, forced, settings)
    detector = _shot_detector(settings)
    limit = ENCODE_GRACE.seconds + settings.time_limit_factor * span.seconds
    report = _run_ffmpeg(encode_command(request, settings), scratch, detector, limit)
    encoded = scratch / ENCODED
    idr_frames, num_frames = _read_frame_index(encoded, settings.fps)
    _check_readable_share(report, num_frames, request, settings)
    return EncodedVideo(
        path=encoded,
        width=request.size.width,
        height=request.size.height,
        fps=settings.fps,
        num_frames=num_frames,
        start=span.start,
        idr_frames=idr_frames,
        shots=tuple(span.start + cut / settings.fps for cut in detector.cuts if cut < num_frames),
        stills=tuple(_list_stills(scratch, span.start, request.still_step / settings.fps)),
        motion=detector.motion[:num_frames],
    )


def _shot_detector(settings: EncodeSettings) -> ShotDetector:
    from curation.media.picture.shot_detection import ShotDetector

    return ShotDetector(settings.fps, settings.min_shot, settings.shot_threshold)


def _run_ffmpeg(args: Sequence[str], scratch: Path, detector: ShotDetector, limit: float) -> str:
    """Run ffmpeg to its end, feed its thumbnails to the shot detector, and return the end of ffmpeg's log."""
    process = start(args, cwd=scratch, memory=FFMPEG_MEMORY)
    assert process.stdout is not None and process.stderr is not None
    tail = PipeTail(process.stderr)
    late = threading.Event()

    def stop() -> None:
        late.set()
        kill(process)

    watchdog = threading.Timer(limit, stop)
    watchdog.daemon = True
    watchdog.start()
    try:
        for frame in _read_thumbnails(process.stdout, *THUMBNAIL):
            detector.add(frame)
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
        raise_for_status(args, process.returncode, tail.text)
    except ProcessFailed as error:
        class_: Literal["internal", "corrupt"] = "internal" if process.returncode < 0 else "corrupt"
        raise SourceFailed(class_, str(error)) from None
    return tail.text


def _read_thumbnails(pipe: IO[bytes], width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    size = width * height * 3
    while len(data := pipe.read(size)) == size:
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _read_frame_index(encoded: Path, fps: float) -> tuple[tuple[int, ...], int]:
    """Return the indices of the IDR frames, and the number of frames, as the encoded file has them."""
    idr_frames, count = [], 0
    if not encoded.exists() or encoded.stat().st_size == 0:
        return (), 0
    with open_video(encoded, "mov") as container:
        for packet in container.demux(video=0):
            if packet.size == 0:
                continue
            index = round(packet.pts * packet.time_base * Fraction(fps))
            assert index == count, "the stored frames are evenly spaced"
            if packet.is_keyframe:
                idr_frames.append(count)
            count += 1
    return tuple(idr_frames), count


def _check_readable_share(report: str, num_frames: int, request: EncodeRequest, settings: EncodeSettings) -> None:
    """Raise SourceFailed if less than `min_share` of the video could be read."""
    if num_frames == 0:
        raise SourceFailed("corrupt", "none of its frames can be decoded")
    seconds, stated = num_frames / settings.fps, _stated_seconds(request, settings)
    if seconds < settings.min_share * stated:
        raise SourceFailed("corrupt", f"its picture ends after {seconds:.1f} of {stated:.1f} s")
    stream = rf"Input stream #0:{request.probe.video.index}\b"
    line = re.search(stream + r".*?(\d+) frames decoded; (\d+) decode errors", report)
    if line is None:  # this version of ffmpeg does not report it
        return
    decoded, errors = int(line[1]), int(line[2])
    if decoded < settings.min_share * (decoded + errors):
        raise SourceFailed("corrupt", f"only {decoded} of its {decoded + errors} frames can be decoded")


def _stated_seconds(request: EncodeRequest, settings: EncodeSettings) -> float:
    """Return the seconds of picture in the span as the container states them; the audio may continue after them."""
    requested = request.num_frames / settings.fps
    if request.probe.video.duration is None:
        return requested
    return min(requested, max(request.probe.video.duration - request.seek - request.skip, 1 / settings.fps))


def _list_stills(scratch: Path, start: float, step: float) -> list[CandidateStill]:
    files = sorted(scratch.glob(STILLS.replace("%06d", "*")))
    return [CandidateStill(start + int(file.stem.rpartition("_")[2]) * step, file) for file in files]
