"""Build the ffmpeg command that decodes a video once and writes the encode, thumbnails and stills.

A pure function of plain values, built with ffmpeg-python.

::

    video ── deinterlaced, ────┬── short side 256, BT.601 ──┬── H.264, mono AAC ──▶ encoded.mp4
             constant rate     │                            └── thumbnails ───────▶ pipe
                               └── every 2 s ── short side 448, BT.601 ───────────▶ still_000000.jpg …
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import ffmpeg

from curation.media.picture.colour_filters import as_understood, scaled_to_standard
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.interlacing import without_fields
from curation.media.picture.video_records import Probe, VideoSpan
from runtime.processes import ffmpeg_binary
from runtime.untrusted_media import ffmpeg_input_options, local_only

ENCODED: Final = "encoded.mp4"
STILLS: Final = "still_%06d.jpg"
THUMBNAIL: Final = (64, 36)
"""Width and height of the thumbnails in the pipe; three bytes a pixel: blue, green, red."""

_SEEK_MARGIN: Final = 10.0
_TOLERANCE: Final = 0.001
_LONGEST_SIDE: Final = 4096
_MAX_ARGUMENT: Final = 100_000  # Linux takes 131,072 bytes in one argument


@dataclass(frozen=True)
class PictureSize:
    """Width and height in pixels; both even."""

    width: int
    height: int


@dataclass(frozen=True)
class EncodeRequest:
    """A span of a video to encode, in frames and pixels."""

    path: Path
    probe: Probe
    seek: float
    """Second of the video at which reading begins: somewhat before the span, so that its first frame is exact."""
    skip: float
    """Seconds from `seek` to the start of the span."""
    num_frames: int
    """Frames to store."""
    idr_frames: tuple[int, ...]
    """Stored frames that must be IDR frames."""
    size: PictureSize
    """PictureSize of the stored video."""
    still_size: PictureSize
    """PictureSize of the stills."""
    still_step: int
    """Frames from one still to the next."""

    @classmethod
    def of(cls, span: VideoSpan, idr_frames: Iterable[int], settings: EncodeSettings) -> Self:
        """Return the request that encodes `span` with IDR frames at the stored frames `idr_frames`."""
        num_frames = max(1, math.ceil(span.seconds * settings.fps - 1e-6))
        seek = max(0.0, span.start - _SEEK_MARGIN)
        shape = span.probe.video.display_size
        return cls(
            path=span.path,
            probe=span.probe,
            seek=seek,
            skip=span.start - seek,
            num_frames=num_frames,
            idr_frames=tuple(sorted({frame for frame in idr_frames if 0 < frame < num_frames})),
            size=scale_to(shape, settings.short_side),
            still_size=scale_to(shape, min(settings.still_short_side, math.ceil(min(shape)))),
            still_step=max(1, round(settings.still_every * settings.fps)),
        )


def encode_command(request: EncodeRequest, settings: EncodeSettings) -> list[str]:
    """Return the arguments of ffmpeg, which writes files into its working folder and thumbnails to standard output."""
    source = _input(request, settings)
    video, thumbnails, stills = _pictures(source[str(request.probe.video.index)], request, settings)
    streams = [video]
    if settings.audio and request.probe.audio:
        streams.append(_audio(source[str(request.probe.audio[0].index)], request, settings))
    outputs = ffmpeg.merge_outputs(
        ffmpeg.output(*streams, ENCODED, **_encoder(request, settings)),
        ffmpeg.output(thumbnails, "pipe:1", format="rawvideo", fps_mode="passthrough"),
        ffmpeg.output(
            stills, STILLS, format="image2", start_number=0, fps_mode="passthrough", **{"q:v": settings.still_quality}
        ),
    )
    general = ["-hide_banner", "-nostdin", "-nostats", "-v", "verbose", "-max_error_rate", "1"]
    general += ["-filter_complex_threads", str(settings.threads)]
    args: list[str] = outputs.global_args(*general).compile(cmd=ffmpeg_binary(), overwrite_output=True)
    return args


def scale_to(shape: tuple[float, float], short_side: int) -> PictureSize:
    """Return the size of a picture of `shape` (width, height) scaled to a short side; the long side is limited."""
    scale = short_side / min(shape)
    scale = min(scale, _LONGEST_SIDE / max(shape))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in shape)
    return PictureSize(width, height)


def _input(request: EncodeRequest, settings: EncodeSettings) -> Any:
    options: dict[str, Any] = {
        **ffmpeg_input_options(request.probe.format),
        "threads": settings.threads,
        "reinit_filter": 0,  # a change of size midway is handled by the scalers and must not restart the frame counters
    }
    if request.seek > 0:  # decoding begins at the keyframe before; the frame rate filter drops earlier frames
        options |= {"ss": f"{request.seek:.6f}", "noaccurate_seek": None}
    return ffmpeg.input(local_only(request.path), **options)


def _pictures(video: Any, request: EncodeRequest, settings: EncodeSettings) -> tuple[Any, Any, Any]:
    """Return the stored video, the thumbnails and the stills as three filter outputs.

    Times are rounded up, so that frame i is the picture shown at i / fps (within a millisecond, for containers that
    round). They are in microseconds, because the filter would round the start to the container's own time base.
    """
    rate = Fraction(settings.fps).limit_denominator(1001)
    stream = request.probe.video
    colour = stream.colour
    whole = as_understood(video, colour)
    if not stream.orientation.transposed:  # ffmpeg has turned the picture: lines that are columns now stay combed
        whole = without_fields(whole, stream.fields, stream.width, stream.height)
    fine = whole.filter("settb", "AVTB")
    even = fine.filter("fps", str(rate), start_time=f"{request.skip + _TOLERANCE:.6f}", round="up")
    even = even.filter("setpts", "N").filter("trim", end_frame=request.num_frames).filter_multi_output("split", 2)
    stored = scaled_to_standard(even[0], colour, request.size.width, request.size.height, "tv")
    stored = stored.filter_multi_output("split", 2)
    small = stored[1].filter("scale", *THUMBNAIL, flags="area").filter("format", "bgr24")
    some = even[1].filter("select", f"not(mod(n,{request.still_step}))")
    stills = scaled_to_standard(some, colour, request.still_size.width, request.still_size.height, "pc")
    return stored[0], small, stills


def _audio(audio: Any, request: EncodeRequest, settings: EncodeSettings) -> Any:
    """Return mono audio without gaps that starts with the first stored frame."""
    seconds = request.num_frames / settings.fps
    resampled = audio.filter("aresample", **{"async": 1000, "first_pts": 0})
    return resampled.filter("atrim", start=request.skip, duration=seconds).filter("asetpts", "PTS-STARTPTS")


def _encoder(request: EncodeRequest, settings: EncodeSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "format": "mp4",
        "movflags": "+delay_moov+default_base_moof",  # each fragment has its own index, so none grows in memory
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
    if request.idr_frames:
        options["force_key_frames"] = _forced_times(request.idr_frames, settings.fps)
    if settings.audio and request.probe.audio:
        options |= {"c:a": "aac", "ac": 1, "b:a": f"{settings.audio_kbps}k"}
    return options


def _forced_times(frames: tuple[int, ...], fps: float) -> str:
    """Return the times of frames as one argument; if it is too long, frames close to the one before are left out."""
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
