"""The one ffmpeg command of the media stage, built by ffmpeg-python: pure, from plain values to arguments.

::

    video ── even frame rate ──┬── short side 256 ──┬── H.264, mono AAC ──▶ encoded.mp4
                               │                    └── thumbnails ───────▶ pipe
                               └── every 2 s ── short side 448 ───────────▶ still_000000.jpg …
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import ffmpeg

from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.probe import Probe
from runtime.processes import ffmpeg_binary
from runtime.untrusted_media import MAX_PIXELS, local_only

ENCODED: Final = "encoded.mp4"
STILLS: Final = "still_%06d.jpg"
THUMBNAIL: Final = (64, 36)
"""Width and height of the thumbnails in the pipe; three bytes a pixel: blue, green, red."""

_SEEK_MARGIN: Final = 10.0
_TOLERANCE: Final = 0.001
_LONGEST_SIDE: Final = 4096
_MAX_ARGUMENT: Final = 100_000  # Linux takes 131,072 bytes in one argument


@dataclass(frozen=True)
class Size:
    """Pixels; both even."""

    width: int
    height: int


@dataclass(frozen=True)
class Job:
    """What to make of one video, in numbers."""

    path: Path
    probe: Probe
    seek: float
    """Second of the video where reading begins: somewhat before the span, so that its first frame is right."""
    skip: float
    """Seconds from there to the span."""
    num_frames: int
    forced: tuple[int, ...]
    """Frames that must be IDR frames."""
    size: Size
    still_size: Size
    still_step: int
    """Frames from one still to the next."""

    @staticmethod
    def of(path: Path, probe: Probe, start: float, end: float, forced: Iterable[int], settings: EncodeSettings) -> Job:
        """The job of encoding ``[start, end)``, with IDR frames at the frames `forced`."""
        num_frames = max(1, math.ceil((end - start) * settings.fps - 1e-6))
        seek = max(0.0, start - _SEEK_MARGIN)
        shape = probe.video.display_size
        return Job(
            path=path,
            probe=probe,
            seek=seek,
            skip=start - seek,
            num_frames=num_frames,
            forced=tuple(sorted({frame for frame in forced if 0 < frame < num_frames})),
            size=size(shape, settings.short_side),
            still_size=size(shape, min(settings.still_short_side, math.ceil(min(shape)))),
            still_step=max(1, round(settings.still_every * settings.fps)),
        )


def command(job: Job, settings: EncodeSettings) -> list[str]:
    """The arguments of ffmpeg, to be run in the folder that takes the results; thumbnails go to standard output."""
    source = _input(job, settings)
    video, thumbnails, stills = _pictures(source[str(job.probe.video.index)], job, settings)
    streams = [video]
    if settings.audio and job.probe.audio:
        streams.append(_sound(source[str(job.probe.audio[0].index)], job, settings))
    outputs = ffmpeg.merge_outputs(
        ffmpeg.output(*streams, ENCODED, **_encoder(job, settings)),
        ffmpeg.output(thumbnails, "pipe:1", format="rawvideo", fps_mode="passthrough"),
        ffmpeg.output(
            stills, STILLS, format="image2", start_number=0, fps_mode="passthrough", **{"q:v": settings.still_quality}
        ),
    )
    general = ["-hide_banner", "-nostdin", "-nostats", "-v", "verbose", "-max_error_rate", "1"]
    general += ["-filter_complex_threads", str(settings.threads)]
    args: list[str] = outputs.global_args(*general).compile(cmd=ffmpeg_binary(), overwrite_output=True)
    return args


def size(shape: tuple[float, float], short_side: int) -> Size:
    """The size of a picture of `shape` with the given shorter side; extreme shapes are limited on their longer side."""
    scale = short_side / min(shape)
    scale = min(scale, _LONGEST_SIDE / max(shape))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in shape)
    return Size(width, height)


def _input(job: Job, settings: EncodeSettings) -> Any:
    options: dict[str, Any] = {
        "format": job.probe.format,
        "protocol_whitelist": "file,pipe",
        "threads": settings.threads,
        "max_pixels": MAX_PIXELS,
        "reinit_filter": 0,  # sizes may change midway: the scalers cope, the frame counters must not restart
    }
    if job.seek > 0:  # everything from the keyframe before on is decoded; the frame rate filter drops what is early
        options |= {"ss": f"{job.seek:.6f}", "noaccurate_seek": None}
    return ffmpeg.input(local_only(job.path), **options)


def _pictures(video: Any, job: Job, settings: EncodeSettings) -> tuple[Any, Any, Any]:
    """The three uses of the decoded frames.

    Rounding times up makes frame i the picture shown at i / fps (within a millisecond, for containers that round);
    in microseconds, for the filter would round the beginning to the container's own ticks.
    """
    rate = Fraction(settings.fps).limit_denominator(1001)
    fine = ffmpeg.filter(video, "settb", "AVTB")
    even = fine.filter("fps", str(rate), start_time=f"{job.skip + _TOLERANCE:.6f}", round="up")
    even = even.filter("setpts", "N").filter("trim", end_frame=job.num_frames).filter_multi_output("split", 2)
    stored = _scaled(even[0], job.size, "yuv420p", "tv").filter_multi_output("split", 2)
    small = stored[1].filter("scale", *THUMBNAIL, flags="area").filter("format", "bgr24")
    some = even[1].filter("select", f"not(mod(n,{job.still_step}))")
    return stored[0], small, _scaled(some, job.still_size, "yuvj420p", "pc")


def _scaled(video: Any, to: Size, pixels: str, range_: str) -> Any:
    return video.filter("scale", to.width, to.height, out_range=range_).filter("setsar", 1).filter("format", pixels)


def _sound(audio: Any, job: Job, settings: EncodeSettings) -> Any:
    """Mono sound without gaps, from the first stored frame on."""
    seconds = job.num_frames / settings.fps
    whole = audio.filter("aresample", **{"async": 1000, "first_pts": 0})
    return whole.filter("atrim", start=job.skip, duration=seconds).filter("asetpts", "PTS-STARTPTS")


def _encoder(job: Job, settings: EncodeSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "format": "mp4",
        "movflags": "+delay_moov+default_base_moof",  # an index for each fragment: none grows in memory
        "frag_duration": 10_000_000,
        "c:v": "libx264",
        "preset": settings.preset,
        "tune": "fastdecode",
        "crf": f"{settings.crf:g}",
        "g": settings.gop,
        "keyint_min": 1,
        "sc_threshold": 0,
        "bf": 0,
        "flags:v": "+cgop",
        "forced-idr": 1,
        "threads:v": settings.threads,
        "fps_mode": "passthrough",
        "map_metadata": -1,
        "map_chapters": -1,
    }
    if job.forced:
        options["force_key_frames"] = _times(job.forced, settings.fps)
    if settings.audio and job.probe.audio:
        options |= {"c:a": "aac", "ac": 1, "b:a": f"{settings.audio_kbps}k"}
    return options


def _times(frames: tuple[int, ...], fps: float) -> str:
    """Times of frames as one argument; where it would be too long, those that follow another closely are left out."""
    gap = 1
    while True:
        kept: list[int] = []
        for frame in frames:
            if not kept or frame - kept[-1] >= gap:
                kept.append(frame)
        text = ",".join(f"{frame / fps:.6f}".rstrip("0").rstrip(".") for frame in kept)
        if len(text) <= _MAX_ARGUMENT:
            return text
        gap += max(1, gap // 4)
