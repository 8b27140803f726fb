"""Media stage against its alternatives in clips per CPU-second, and its memory for videos of different lengths.

    python -m bench.media                  # three-level clip set of 120 s of 1080p30: ratios, as a Markdown table
    python -m bench.media --long 3 20      # peak memory of the process tree: 3 hours against 20 minutes

All ways have the same frame rate, size, x264 settings and threads. CPU time is that of this process and its children;
runs alternate. Only ffmpeg is needed: the script makes the videos.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import psutil

from curation.media.clips.keyframe_choice import choose_keyframes
from curation.media.clips.root_cutting import cut_roots
from curation.media.picture.encode import encode
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.probe import probe
from curation.media.picture.shot_detection import ShotDetector  # noqa: F401  imported once a worker: not part of a video's time
from curation.media.picture.video_records import VideoSpan
from runtime.processes import ffmpeg_binary, run

SECONDS = 120.0
LENGTHS = {"short": 120 / 9, "medium": 30.0, "long": 60.0}
SETTINGS = EncodeSettings()
_FILTER = f"fps={SETTINGS.fps:g},scale=456:256"
_X264 = (
    f"-c:v libx264 -preset {SETTINGS.preset} -tune fastdecode -crf {SETTINGS.crf:g} -g {SETTINGS.gop} -keyint_min 1 "
    f"-sc_threshold 0 -bf 0 -threads:v {SETTINGS.threads} -pix_fmt yuv420p -an -y"
).split()

_MOVING = (
    "testsrc2=s=1920x1080:r={fps}:d=4,noise=alls=3:allf=t,scroll=horizontal=0.004",
    "mandelbrot=s=480x270:r={fps},trim=duration=4",
    "gradients=s=1920x1080:r={fps}:d=4:speed=0.05",
)
_SLIDES = ("testsrc=s=1920x1080:r={fps}:d=6", "smptehdbars=s=1920x1080:r={fps}:d=6")


@dataclass(frozen=True)
class Span:
    """A clip of the set; the media stage's segmentation is not measured here."""

    start: float
    end: float
    children: tuple[Span, ...] = ()


@dataclass(frozen=True)
class MediaResult:
    """Median CPU seconds of each way for the same set of clips."""

    clips: int
    ours: float
    process_a_clip: float
    bare: float

    @property
    def over_process_a_clip(self) -> float:
        """Clips per CPU-second relative to one ffmpeg process per clip; target: 3 or more."""
        return self.process_a_clip / self.ours

    @property
    def of_bare(self) -> float:
        """Speed relative to bare ffmpeg, which decodes and encodes the span; target: 0.8 or more."""
        return self.bare / self.ours


def media(runs: int = 5) -> MediaResult:
    """Measure the three ways `runs` times, alternating."""
    with tempfile.TemporaryDirectory() as folder:
        video = make_video(Path(folder), SECONDS, fps=30)
        spans = {level: _even(SECONDS, length) for level, length in LENGTHS.items()}
        times = _alternating(
            {
                "ours": lambda place: _ours(video, spans["long"], spans["short"], place),
                "process_a_clip": lambda place: _process_a_clip(video, [*chain(*spans.values())], place),
                "bare": lambda place: _bare(video, place),
            },
            runs,
        )
    return MediaResult(sum(map(len, spans.values())), **times)


def make_video(folder: Path, seconds: float, fps: int, moving: bool = True) -> Path:
    """Write a 1080p video at 5 Mbit/s with x264's default GOP: 12 s of scenes, repeated by copy up to `seconds`.

    The whole picture moves, or scenes are slides with small changes, which are cheaper to decode.
    """
    scenes = _MOVING if moving else _SLIDES
    inputs = [arg for scene in scenes for arg in ("-f", "lavfi", "-i", scene.format(fps=fps))]
    shaped = [f"[{i}]scale=1920:1080,format=yuv420p,setsar=1[s{i}]" for i in range(len(scenes))]
    joined = "".join(f"[s{i}]" for i in range(len(scenes))) + f"concat=n={len(scenes)}"
    piece, video = folder / f"piece_{moving}.mp4", folder / f"video_{seconds:.0f}.mp4"
    if not piece.exists():
        encoder = ("-c:v", "libx264", "-preset", "fast", "-b:v", "5M")
        _ffmpeg(*inputs, "-filter_complex", ";".join([*shaped, joined]), *encoder, piece)
    _ffmpeg("-stream_loop", str(int(seconds // 12) + 1), "-i", piece, "-c", "copy", "-t", f"{seconds:g}", video)
    return video


def _ours(video: Path, roots: Sequence[Span], shorts: Sequence[Span], folder: Path) -> None:
    """Decode once for encode, shots, motion and stills; then cut roots by copy and choose keyframes."""
    boundaries = [i * 4.3 for i in range(int(SECONDS / 4.3))]
    encoded = encode(VideoSpan(video, probe(video), 0.0, SECONDS), boundaries, SETTINGS, folder)
    cut_roots(encoded, [(root.start, root.end) for root in roots], folder)
    for root in roots:
        nested = tuple(short for short in shorts if root.start <= short.start < root.end)
        choose_keyframes(Span(root.start, root.end, nested), encoded.stills)


def _process_a_clip(video: Path, spans: Sequence[Span], folder: Path) -> None:
    for i, span in enumerate(spans):
        seek = ["-ss", f"{span.start:.3f}", "-t", f"{span.end - span.start:.3f}"]
        _ffmpeg("-threads", "1", *seek, "-i", video, "-vf", _FILTER, *_X264, folder / f"{i}.mp4")


def _bare(video: Path, folder: Path) -> None:
    _ffmpeg("-threads", "1", "-i", video, "-vf", _FILTER, *_X264, folder / "bare.mp4")


def _ffmpeg(*args: str | Path) -> None:
    run([ffmpeg_binary(), "-hide_banner", "-v", "error", "-nostdin", "-filter_threads", "1", *args], timeout=3600)


def _even(seconds: float, length: float) -> list[Span]:
    count = round(seconds / length)
    return [Span(i * seconds / count, (i + 1) * seconds / count) for i in range(count)]


def _alternating(ways: Mapping[str, Callable[[Path], None]], runs: int) -> dict[str, float]:
    """Return the median CPU seconds of each way; runs alternate."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(runs):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                before = _cpu_seconds()
                way(Path(folder))
                times[name].append(_cpu_seconds() - before)
            print(f"run {number + 1} of {runs}: {name} {times[name][-1]:.1f} CPU-s", file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in times.items()}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_memory(seconds: float, folder: Path, fps: int) -> float:
    """Return the peak resident GiB of a new process and its children while it makes roots of a video of that length."""
    video = make_video(folder, seconds, fps, moving=False)
    scratch = Path(tempfile.mkdtemp(dir=folder))
    args = [sys.executable, "-m", "bench.media", "--worker", str(video), str(scratch)]
    began, peak = time.monotonic(), 0
    worker = subprocess.Popen(args, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)})
    tree = psutil.Process(worker.pid)
    while worker.poll() is None:
        peak = max(peak, _resident(tree))
        time.sleep(0.2)
    if worker.returncode != 0:
        raise RuntimeError(f"the worker ended with status {worker.returncode}")
    print(f"{seconds:.0f} s of video took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    video.unlink()
    return peak / 2**30


def _resident(tree: psutil.Process) -> int:
    total = 0
    for process in [tree, *tree.children(recursive=True)]:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _work(video: Path, folder: Path) -> None:
    """Make the roots of a video for `peak_memory`: a sentence every 4 s, a root every minute."""
    found = probe(video)
    boundaries = [i * 4.0 for i in range(int(found.duration / 4))]
    encoded = encode(VideoSpan(video, found, 0.0, found.duration), boundaries, SETTINGS, folder)
    cut_roots(encoded, [(span.start, span.end) for span in _even(encoded.end, 60.0)], folder)


def table(result: MediaResult) -> str:
    """Return the result as Markdown, with machine and date."""
    rows = [
        ("one decode, shots, stills, roots by copy", result.ours),
        ("one ffmpeg process per clip", result.process_a_clip),
        ("bare ffmpeg decode + encode of the span", result.bare),
    ]
    lines = [f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, {SECONDS:.0f} s of 1080p30, "]
    lines[0] += f"{result.clips} clips at three levels, one thread, median CPU seconds"
    lines += ["", "| way | CPU-s | clips per CPU-s |", "|---|---|---|"]
    lines += [f"| {name} | {cpu:.1f} | {result.clips / cpu:.2f} |" for name, cpu in rows]
    lines += ["", f"against one process per clip: {result.over_process_a_clip:.2f} times (target: at least 3)"]
    lines += [f"against bare ffmpeg: {result.of_bare:.2f} (target: at least 0.8)"]
    return "\n".join(lines)


def _memory_table(hours: float, minutes: float, fps: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        short = peak_memory(minutes * 60, Path(folder), fps)
        long = peak_memory(hours * 3600, Path(folder), fps)
    lines = ["| 1080p video | peak memory of the process tree, GiB |", "|---|---|"]
    lines += [f"| {minutes:g} min | {short:.3f} |", f"| {hours:g} h | {long:.3f} |"]
    lines += ["", f"ratio {long / short:.2f} (target: at most 1.10, and under 2 GiB)"]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="alternating runs")
    parser.add_argument("--long", nargs=2, type=float, metavar=("HOURS", "MINUTES"), help="measure memory instead")
    parser.add_argument("--fps", type=int, default=30, help="frame rate of the videos whose memory is measured")
    parser.add_argument("--worker", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        _work(*args.worker)
    elif args.long:
        print(_memory_table(args.long[0], args.long[1], args.fps))
    else:
        print(table(media(args.runs)))


if __name__ == "__main__":
    main()
