"""Odd and broken videos for all tests: small, made by ffmpeg on demand, each once a session.

Every picture has a clock: the brightness of its bottom strip is `CLOCK_AT_ZERO` at second 0, grows by
`CLOCK_PER_SECOND` a second and restarts every `CLOCK_ROUND` seconds, so that a test can read from any frame the
second of the source that it shows.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support.waiting import PATIENCE

from runtime.processes import ffmpeg_binary, run
from shards.schema import State

SECONDS = 4.0
WIDTH, HEIGHT, FPS = 320, 240, 24
CLOCK_AT_ZERO, CLOCK_PER_SECOND, CLOCK_ROUND = 40.0, 40.0, 5.0
SECRET = "the secret beside the playlist"

Make = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    """A video: how to make it in a folder, and the state in which it must end."""

    make: Make
    expected_state: State = "written"
    expected_class: str | None = None


def path_of(name: str) -> Path:
    """Return the file of `CASES[name]`, made at the first call of the session."""
    return _made(name)


@functools.cache
def _made(name: str) -> Path:
    folder = _folder() / name
    folder.mkdir()
    return CASES[name].make(folder)


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="broken-videos-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def ffmpeg(*args: str | Path, timeout: float = PATIENCE) -> None:
    """Run ffmpeg with `args`."""
    run([ffmpeg_binary(), "-hide_banner", "-v", "error", "-nostdin", "-y", *args], timeout=timeout)


def clock(frame: Any, edge: str = "bottom") -> float:
    """Return the second of the source, modulo `CLOCK_ROUND`, that a PyAV frame shows; `edge`: side of the strip."""
    luma = frame.to_ndarray(format="yuv420p")[: frame.height].astype(float)
    height, width = luma.shape
    strip = {
        "bottom": luma[-height // 16 : -2, width // 4 : -width // 4],
        "left": luma[height // 4 : -height // 4, 2 : width // 16],
        "right": luma[height // 4 : -height // 4, -width // 16 : -2],
    }[edge]
    return float((np.median(strip) - CLOCK_AT_ZERO) / CLOCK_PER_SECOND)


def picture(seconds: float = SECONDS, size: tuple[int, int] = (WIDTH, HEIGHT), fps: int = FPS, first: float = 0) -> str:
    """Return a lavfi graph of a moving picture with the clock, which shows `first` at its start."""
    width, height = size
    strip = max(2, height // 6)
    luma = f"{CLOCK_AT_ZERO}+{CLOCK_PER_SECOND}*mod(T+{first}\\,{CLOCK_ROUND})"
    return (
        f"testsrc2=s={width}x{height - strip}:r={fps}:d={seconds},format=yuv444p[top];"
        f"color=s={width}x{strip}:r={fps}:d={seconds},format=yuv444p,geq=lum='{luma}':cb=128:cr=128[clock];"
        "[top][clock]vstack"
    )


def _video(
    name: str,
    *encoder: str,
    pixels: str = "yuv420p",
    audio: Sequence[str] = ("aac",),
    source: str | None = None,
    before: Sequence[str] = (),
) -> Make:
    """Return a function that makes a video: lavfi picture, sine tones, the given encoder options."""

    def make(folder: Path) -> Path:
        path = folder / name
        tones = [f"sine=f={300 * (i + 1)}:d={SECONDS}" for i in range(len(audio))]
        inputs = ["-f", "lavfi", "-i", source or picture()]
        for tone in tones:
            inputs += ["-f", "lavfi", "-i", tone]
        maps = [arg for i in range(1 + len(tones)) for arg in ("-map", str(i))]
        codecs = [arg for i, codec in enumerate(audio) for arg in (f"-c:a:{i}", codec)]
        ffmpeg(*before, *inputs, *maps, *codecs, "-pix_fmt", pixels, *encoder, path)
        return path

    return make


_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "24", "-bf", "2")


def _bytes(name: str, data: bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    return make


def _playlist(name: str, text: str) -> Make:
    """Return a function that makes a playlist named like a video, beside a secret file that nothing may read."""

    def make(folder: Path) -> Path:
        secret = folder / "secret.mp4"
        shutil.copyfile(path_of("good"), secret)
        with secret.open("ab") as file:
            file.write(SECRET.encode())
        path = folder / name
        path.write_text(text.format(secret=secret))
        return path

    return make


def _remuxed(base: str, name: str, *args: str, before: Sequence[str] = ()) -> Make:
    """Return a function that remuxes the file of another case by copying its packets."""

    def make(folder: Path) -> Path:
        path = folder / name
        ffmpeg(*before, "-i", path_of(base), "-map", "0", "-c", "copy", *args, path)
        return path

    return make


def _cut_off(base: str, share: float) -> Make:
    def make(folder: Path) -> Path:
        whole = path_of(base).read_bytes()
        path = folder / path_of(base).name
        path.write_bytes(whole[: int(len(whole) * share)])
        return path

    return make


def _damaged(base: str, first: float, last: float) -> Make:
    """Return a function that overwrites a share of the file with noise."""

    def make(folder: Path) -> Path:
        data = bytearray(path_of(base).read_bytes())
        begin, end = int(len(data) * first), int(len(data) * last)
        data[begin:end] = np.random.default_rng(0).bytes(end - begin)
        path = folder / path_of(base).name
        path.write_bytes(data)
        return path

    return make


def _concatenated(*parts: Make) -> Make:
    """Return a function that concatenates transport streams, as a recorder does: clocks and sizes jump in between."""

    def make(folder: Path) -> Path:
        path = folder / "joined.ts"
        data = b""
        for number, part in enumerate(parts):
            part_folder = folder / str(number)
            part_folder.mkdir()
            data += part(part_folder).read_bytes()
        path.write_bytes(data)
        return path

    return make


def _with_cover(folder: Path) -> Path:
    cover, path = folder / "cover.png", folder / "cover.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=600x600", "-frames:v", "1", cover)
    args: list[str | Path] = [
        "-i",
        path_of("good"),
        "-i",
        cover,
        "-map",
        "1",
        "-map",
        "0",
        "-c",
        "copy",
        "-c:v:0",
        "png",
    ]
    ffmpeg(*args, "-disposition:v:0", "attached_pic", path)
    return path


def _without_duration(folder: Path) -> Path:
    """Write Matroska to a pipe, so that the header can't be completed."""
    path = folder / "live.mkv"
    args: list[str | Path] = [
        ffmpeg_binary(),
        "-v",
        "error",
        "-nostdin",
        "-i",
        path_of("good"),
        "-c",
        "copy",
        "-f",
        "matroska",
        "-",
    ]
    path.write_bytes(run(args, timeout=60, max_output=1 << 24).stdout)
    return path


def _uneven(folder: Path) -> Path:
    """Make a video with 24, then 4, then 12 frames a second."""
    select = "select='lt(t,1)+between(t,1,2.5)*not(mod(n,6))+gt(t,2.5)*not(mod(n,2))'"
    path = folder / "uneven.mkv"
    ffmpeg("-f", "lavfi", "-i", picture(), "-vf", select, "-fps_mode", "vfr", *_X264, path)
    return path


_TS_PARTS = (
    _video("a.ts", *_X264, source=picture(2.0), audio=()),
    _video("b.ts", *_X264, "-output_ts_offset", "5000", source=picture(2.0, first=2.0), audio=()),
    _video("c.ts", *_X264, source=picture(2.0, (480, 270), first=2.0), audio=()),
)
_BELOW_ZERO = ("-output_ts_offset", "-1", "-avoid_negative_ts", "disabled")
_NOT_VIDEO: tuple[State, str] = ("failed", "not_video")
_CORRUPT: tuple[State, str] = ("failed", "corrupt")

CASES: Mapping[str, Case] = {
    "good": Case(_video("good.mp4", *_X264, "-movflags", "+faststart")),
    # not a video
    "zero_bytes": Case(_bytes("empty.mp4", b""), *_NOT_VIDEO),
    "text": Case(_bytes("text.mp4", b"This is not a video.\n" * 500), *_NOT_VIDEO),
    "web_page": Case(_bytes("page.mp4", b"<!DOCTYPE html><html><body>Sign in</body></html>"), *_NOT_VIDEO),
    "noise": Case(_bytes("noise.mp4", np.random.default_rng(0).bytes(50_000)), *_NOT_VIDEO),
    "hls_playlist": Case(
        _playlist("hls.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:{secret}\n#EXT-X-ENDLIST\n"),
        *_NOT_VIDEO,
    ),
    "concat_playlist": Case(_playlist("concat.mp4", "ffconcat version 1.0\nfile '{secret}'\n"), *_NOT_VIDEO),
    "image": Case(_video("image.jpg", "-frames:v", "1", audio=()), *_NOT_VIDEO),
    "image_named_mp4": Case(_video("i.mp4", "-frames:v", "1", "-c:v", "png", "-f", "image2", audio=()), *_NOT_VIDEO),
    "audio_only": Case(_video("sound.mp4", "-map", "-0:v"), *_NOT_VIDEO),
    # broken
    "corrupt": Case(_damaged("good", 0.2, 1.0), *_CORRUPT),
    "truncated_without_index": Case(_cut_off("index_at_end", 0.7), *_CORRUPT),
    "truncated_early": Case(_cut_off("good", 0.25), *_CORRUPT),
    "truncated_late": Case(_cut_off("good", 0.8)),
    "damaged_midway": Case(_damaged("good", 0.45, 0.55)),
    "huge_picture": Case(
        _video(
            "huge.mkv", "-c:v", "png", "-frames:v", "1", pixels="gray", source="color=s=16000x8000:r=1:d=4", audio=()
        ),
        *_CORRUPT,
    ),
    # odd, but usable
    "index_at_end": Case(_video("end.mp4", *_X264)),
    "video_only": Case(_video("silent.mp4", *_X264, audio=())),
    "variable_rate": Case(_uneven),
    "rotated": Case(_remuxed("good", "rotated.mp4", before=("-display_rotation", "90"))),
    "odd_size": Case(_video("odd.mp4", *_X264, pixels="yuv444p", source=picture(size=(321, 243)))),
    "wide_pixels": Case(_video("sar.mp4", *_X264, "-aspect", "16:9")),
    "ten_bit": Case(_video("ten.mp4", *_X264, pixels="yuv420p10le")),
    "several_audio": Case(_video("audio.mkv", *_X264, audio=("aac", "libmp3lame", "libopus"))),
    "attached_picture": Case(_with_cover),
    "no_duration": Case(_without_duration),
    "below_zero_ts": Case(_remuxed("good", "below.ts", "-muxdelay", "0", *_BELOW_ZERO)),
    "below_zero_mkv": Case(_remuxed("good", "below.mkv", *_BELOW_ZERO)),
    "below_zero_flv": Case(_remuxed("good", "below.flv", *_BELOW_ZERO)),
    "edited_mp4": Case(_remuxed("good", "edited.mp4", *_BELOW_ZERO)),
    "late_start": Case(_remuxed("good", "late.ts", "-output_ts_offset", "100")),
    "jump_forwards": Case(_concatenated(_TS_PARTS[0], _TS_PARTS[1])),
    "jump_backwards": Case(_concatenated(_TS_PARTS[0], _TS_PARTS[0])),
    "size_changes": Case(_concatenated(_TS_PARTS[0], _TS_PARTS[2])),
    "picture_ends_early": Case(
        _video("early.mp4", *_X264, source=picture(2.0)),
    ),
    "gap": Case(_remuxed("video_only", "gap.mkv", "-bsf:v", "setts=ts=TS+gte(N\\,48)*3/TB")),
    # codecs and containers
    "vp8_webm": Case(_video("vp8.webm", "-c:v", "libvpx", "-deadline", "realtime", audio=("libvorbis",))),
    "vp9_webm": Case(
        _video("vp9.webm", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", audio=("libopus",))
    ),
    "av1_mkv": Case(_video("av1.mkv", "-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1")),
    "hevc_mov": Case(_video("hevc.mov", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0")),
    "hevc_ten_bit_mkv": Case(
        _video(
            "ten.mkv", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=0", pixels="yuv420p10le"
        )
    ),
    "mpeg4_avi": Case(_video("mpeg4.avi", "-c:v", "mpeg4", "-q:v", "3", audio=("libmp3lame",))),
    "h264_ts": Case(_video("h264.ts", *_X264)),
    "mpeg2_ps": Case(_video("mpeg2.mpg", "-c:v", "mpeg2video", "-q:v", "3", audio=("mp2",))),
    "h264_flv": Case(_video("h264.flv", *_X264)),
    "theora_ogv": Case(_video("theora.ogv", "-c:v", "libtheora", "-q:v", "8", audio=("libvorbis",))),
    "wmv": Case(_video("wmv.wmv", "-c:v", "wmv2", "-q:v", "3", audio=("wmav2",))),
}
