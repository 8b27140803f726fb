"""Training clips per CPU-second: our loader against decord and PyAV, which read one 30 fps file per clip.

    python -m bench.loader                 # 60-second roots, 12 frames per clip, two clips per root
    python -m bench.loader --small         # a 30-second root, one run: only checks that it works

Clips of all three levels occur in the proportion of a whole tree (4 short, 2 medium, 1 long), with crops drawn as in
training. Our loader reads byte ranges of a tar and returns a batch: decoded whole, as without workers, or in parts as
workers send them, which are then concatenated. The files of the alternatives each hold exactly one
clip of the same content (x264 defaults, short side 256) and are decoded to the same frames, crops and batch. One thread
each, warm page cache, CPU time of the process, alternating runs; medians are shown.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from curation.media.picture.encode_settings import EncodeSettings
from runtime.processes import ffmpeg_binary, run
from shards.storage.tar import TarWriter
from training.data.clip_batch import ClipBatch
from training.data.clip_collate import ClipCollator
from training.data.clip_tasks import ClipTask, MediaRef, RootTask
from training.data.data_settings import AugmentSettings
from training.data.decoding.crop_sampling import crop_window, draw_crop
from training.data.decoding.frame_sampling import segment_midpoints
from training.data.media_cache import MediaReader
from training.data.order.level_sampling import draw_levels

FRAMES, SIDE, CLIPS_PER_ROOT = 12, 256, 2
TARGET = 25.0
RATES = {"B/32": 1120, "B/16": 304}
"""Clips per second that one H100 trains on at 40 % MFU, with 12 frames of 224 px."""
_SCENES = (
    "testsrc2=s=456x256:r=30:d={d},noise=alls=3:allf=t,scroll=horizontal=0.004",
    "mandelbrot=s=456x256:r=30,trim=duration={d}",
    "gradients=s=456x256:r=30:d={d}:speed=0.05",
)
_LEVEL_WEIGHTS = (4.0, 2.0, 1.0)


@dataclass(frozen=True)
class Material:
    """One root in a tar, and for each clip of its tree a 30 fps file."""

    root: MediaRef
    seconds: float
    files: Mapping[tuple[float, float], Path]
    """Files by start and end of the clip."""
    spans: tuple[tuple[tuple[float, float], ...], ...]
    """Short, medium and long clips."""


def make_material(folder: Path, seconds: float) -> Material:
    """Encode the content once in high quality, then as a stored root and as one file per clip."""
    content = folder / "content.mp4"
    _film(content, seconds)
    root = folder / "root.mp4"
    _as_root(content, root)
    with TarWriter(folder / "media.tar") as tar:
        tar.add("other.json", b"{}")
        span = tar.add("root.mp4", root)
    spans = tuple(tuple((seconds * n / count, seconds * (n + 1) / count) for n in range(count)) for count in (4, 2, 1))
    files = {}
    for start, end in (clip for level in spans for clip in level):
        files[start, end] = folder / f"clip_{start:g}_{end:g}.mp4"
        cut = ("-ss", f"{start:.3f}", "-t", f"{end - start:.3f}", "-i", content)
        _ffmpeg(*cut, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-an", files[start, end])
    return Material(MediaRef(str(folder / "media.tar"), span.offset, span.size), seconds, files, spans)


def draw_roots(material: Material, count: int, seed: int) -> list[RootTask]:
    """Return the tasks that the shard source would yield for `count` roots like this one."""
    rng = random.Random(seed)
    roots = []
    for number in range(count):
        levels = draw_levels(rng, (4, 2, 1), _LEVEL_WEIGHTS, CLIPS_PER_ROOT)
        clips = [material.spans[level][int(rng.random() * len(material.spans[level]))] for level in levels]
        tasks = tuple(
            ClipTask(f"{number}", start, end, start, end, {}, draw_crop(rng, AugmentSettings())) for start, end in clips
        )
        roots.append(RootTask(f"{number}", f"{number}", material.root, tasks))
    return roots


def ours(roots: Sequence[RootTask]) -> torch.Tensor:
    """Decode a whole batch, as one process without workers does."""
    return ClipCollator(MediaReader(), FRAMES, SIDE, None, ())(roots).video_BTSSC


def ours_in_parts(roots: Sequence[RootTask]) -> torch.Tensor:
    """Decode eight roots at a time as a worker does, and assemble the batch as the main process does."""
    maker = ClipCollator(MediaReader(), FRAMES, SIDE, None, ())
    return ClipBatch.cat([maker(roots[begin : begin + 8]) for begin in range(0, len(roots), 8)]).video_BTSSC


def decord_files(roots: Sequence[RootTask], material: Material) -> torch.Tensor:
    """Decode with decord: one file per clip, only the frames needed."""
    import decord

    def frames(path: Path) -> np.ndarray[Any, Any]:
        reader = decord.VideoReader(str(path), num_threads=1)
        return reader.get_batch(_numbers(len(reader))).asnumpy()

    return _clip_by_clip(roots, material, frames)


def pyav_files(roots: Sequence[RootTask], material: Material) -> torch.Tensor:
    """Decode with PyAV: one file per clip, every frame decoded, those needed converted."""

    def frames(path: Path) -> np.ndarray[Any, Any]:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_count = 1
            wanted = set(_numbers(container.streams.video[0].frames))
            decoded = enumerate(container.decode(video=0))
            return np.stack([frame.to_ndarray(format="rgb24") for number, frame in decoded if number in wanted])

    return _clip_by_clip(roots, material, frames)


def measure(seconds: float, roots: int, runs: int) -> dict[str, float]:
    """Return the training clips per CPU-second of each way: medians of alternating runs."""
    torch.set_num_threads(1)
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        material = make_material(Path(folder), seconds)
        for number in range(runs):
            drawn = draw_roots(material, roots, seed=number)
            for name, way in _ways(material):
                way(drawn[:1])  # do not count what a process loads once
                before = time.process_time()
                way(drawn)
                rates.setdefault(name, []).append(roots * CLIPS_PER_ROOT / (time.process_time() - before))
                print(f"run {number + 1} of {runs}: {name} {rates[name][-1]:.1f}", file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in rates.items()}


def table(rates: Mapping[str, float], seconds: float) -> str:
    """Return the rates as Markdown, with machine and date."""
    head = f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, roots of {seconds:g} s, "
    lines = [head + f"{FRAMES} frames a clip, {CLIPS_PER_ROOT} clips a root, one thread", ""]
    lines += ["| way | training clips per CPU-second | ours is |", "|---|---|---|"]
    best = rates["ours"]
    lines += [f"| {name} | {rate:.1f} | {best / rate:.1f} times |" for name, rate in rates.items()]
    lines += ["", f"against {_peer(rates)}: {best / rates[_peer(rates)]:.1f} times (target: at least {TARGET:g})", ""]
    lines += ["| to feed one H100 at 40 % MFU | clips/s | cores |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {rate:,} | {rate / best:.1f} |" for name, rate in RATES.items())])


def _ways(material: Material) -> Iterator[tuple[str, Callable[[Sequence[RootTask]], torch.Tensor]]]:
    yield "ours", ours
    yield "ours, in parts of eight roots", ours_in_parts
    try:
        import decord  # noqa: F401  not every machine has wheels of it

        yield "decord, one file per clip", lambda roots: decord_files(roots, material)
    except ImportError:
        print("decord is not installed: compared with PyAV alone", file=sys.stderr)
    yield "PyAV, one file per clip", lambda roots: pyav_files(roots, material)


def _peer(rates: Mapping[str, float]) -> str:
    return next(name for name in rates if not name.startswith("ours"))


def _numbers(frames: int) -> list[int]:
    return [int(at) for at in segment_midpoints(0, frames, FRAMES)]


def _clip_by_clip(
    roots: Sequence[RootTask], material: Material, frames: Callable[[Path], np.ndarray[Any, Any]]
) -> torch.Tensor:
    """Make the same batch from files: frames, crop, stack."""
    clips = [clip for root in roots for clip in root.clips]
    video_BTSSC = torch.empty((len(clips), FRAMES, SIDE, SIDE, 3), dtype=torch.uint8)
    for place, clip in zip(video_BTSSC.numpy(), clips, strict=True):
        found = frames(material.files[clip.start, clip.end])
        left, top, _ = crop_window(clip.crop, found.shape[2], found.shape[1])
        place[:] = found[:, top : top + SIDE, left : left + SIDE]
    return video_BTSSC


def _film(path: Path, seconds: float) -> None:
    """Write three scenes of 4 s each, repeated."""
    inputs = [arg for scene in _SCENES for arg in ("-f", "lavfi", "-i", scene.format(d=4))]
    joined = "".join(f"[{n}]format=yuv420p,setsar=1[s{n}];" for n in range(len(_SCENES)))
    joined += "".join(f"[s{n}]" for n in range(len(_SCENES))) + f"concat=n={len(_SCENES)}"
    piece = path.with_name("piece.mp4")
    _ffmpeg(*inputs, "-filter_complex", joined, "-c:v", "libx264", "-crf", "12", piece)
    _ffmpeg("-stream_loop", str(int(seconds // 12) + 1), "-i", piece, "-c", "copy", "-t", f"{seconds:g}", path)


def _as_root(content: Path, path: Path) -> None:
    """Encode a root as the media stage stores it, with sound."""
    stored = EncodeSettings()
    x264 = ("-preset", stored.preset, "-tune", "fastdecode", "-crf", f"{stored.crf:g}", "-g", str(stored.gop))
    sound = ("-f", "lavfi", "-i", "sine=frequency=220:sample_rate=16000", "-c:a", "aac", "-ac", "1", "-shortest")
    closed = ("-sc_threshold", "0", "-bf", "0", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
    _ffmpeg("-i", content, *sound, "-vf", f"fps={stored.fps:g}", "-c:v", "libx264", *x264, *closed, path)


def _ffmpeg(*args: str | Path) -> None:
    run([ffmpeg_binary(), "-hide_banner", "-v", "error", "-nostdin", "-y", *args], timeout=1800)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a 30-second root, one run")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a root")
    parser.add_argument("--roots", type=int, default=64, help="roots per run")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs")
    args = parser.parse_args()
    seconds, roots, runs = (30.0, 8, 1) if args.small else (args.seconds, args.roots, args.runs)
    print(table(measure(seconds, roots, runs), seconds))


if __name__ == "__main__":
    main()
