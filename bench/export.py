"""Clips per second that `curate export` writes, against plain copying of the same bytes from tar to tar.

    python -m bench.export                      # 40 roots of 60 s with 7 clips each, 3 alternating runs
    python -m bench.export --roots 4 --runs 1   # only checks that it works

Every root is the same encoded film (456x256, 8 fps, sound) under a key of its own. The alternative takes the tars that
the export wrote and copies their members into new tars with `tarfile`: no clip is cut, no row is read, no JSON is made.
Both sides read from a warm page cache; ratios are those of each run.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from curation.media.picture.encode_settings import EncodeSettings
from runtime.processes import ffmpeg_binary, run
from shards.artifact import Artifact
from shards.export.export_samples import export
from shards.export.export_selection import ExportSelection
from shards.index import rebuild_index
from shards.keys import clip_key, shard_name, split_of, video_id
from shards.manifest import Manifest, StageMark, write_manifest, write_stage
from shards.reader import read_artifact
from shards.schema import CLIPS, LEDGER, SELECTION, TEXT
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import ShardMedia, commit_shard_media, commit_table

LAYER: Final = "bench"
SECONDS: Final = 60
FPS: Final = 8
WAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "webdataset, clips": {"format": "webdataset"},
    "webdataset, roots": {"format": "webdataset", "unit": "root"},
    "hf, clips, bytes": {"format": "hf"},
    "hf, clips, reference": {"format": "hf", "video": "reference"},
    "lance, clips": {"format": "lance"},
}
"""Options by the name of the row."""
_TREE: Final = [
    ("long", 0, 60),
    *(("medium", at, at + 30) for at in (0, 30)),
    *(("short", at, at + 15) for at in range(0, 60, 15)),
]
_TEXT: Final = "A person in a red coat walks along a wall and opens a small green door in the evening light."


def build(root: Path, roots: int, scratch: Path) -> Store:
    """Write a DIR of one shard with as many roots; each has its clip tree, a still for each clip, texts and claims."""
    store = Store(root)
    write_manifest(store, Manifest("bench", {}, roots, "h"))
    film, still = _film(scratch), _still(scratch)
    rows: list[dict[str, Any]] = []
    with TarWriter(scratch / "media.tar") as media, TarWriter(scratch / "keyframes.tar") as keyframes:
        for number in range(roots):
            video = video_id(f"https://example.org/{number}")
            key = clip_key(video, 0, SECONDS)
            span = media.add(f"{key}.mp4", film)
            media.add(f"{key}.json", b"{}")
            for second in range(5, SECONDS, 10):
                keyframes.add(f"{key}.{second * 1000}.jpg", still)
            rows += [_row(video, key, *clip) | {"byte_offset": span.offset, "byte_size": span.size} for clip in _TREE]
    for folder, stage in (("media", "media"), (f"text/{LAYER}", "rewrite")):
        write_stage(store, folder, StageMark(stage, "h"))
    clips = pa.Table.from_pylist(rows, schema=CLIPS)
    shard = ShardMedia(0, media, keyframes, LEDGER.empty_table(), clips)
    record = commit_shard_media(store, scratch, shard, Artifact("media", "h"))
    name = f"{shard_name(0)}.parquet"
    texts = pa.Table.from_pylist([row | _TEXTS for row in rows], schema=TEXT)
    commit_table(
        store, scratch, f"text/{LAYER}/{name}", texts, Artifact("rewrite", "h", inputs={f"media/{name}": record.digest})
    )
    marks = [{"key": row["key"], "shard": 0, "keep": True, "split": split_of(row["video_id"])} for row in rows]
    inputs = {f"text/{LAYER}/{name}": read_artifact(store, f"text/{LAYER}/{name}").digest}
    table = pa.Table.from_pylist(marks, schema=SELECTION)
    commit_table(store, scratch, f"selections/{LAYER}.parquet", table, Artifact("select", "h", inputs=inputs))
    rebuild_index(store)
    return store


_TEXTS: Final[dict[str, Any]] = {
    "caption": _TEXT,
    "grounded_text": _TEXT,
    "rewrite_status": "ok",
    "claims": [{"text": _TEXT, "verdict": "supported", "evidence": ["frame@5.0", "event@1.0-4.0"]}] * 3,
    "frame_captions": [{"time": 5.0, "text": _TEXT}] * 3,
}


def _row(video: str, root: str, level: str, start: int, end: int) -> dict[str, Any]:
    key = clip_key(video, start, end)
    return {
        "key": key,
        "root_key": root,
        "parent_key": None if key == root else root,
        "video_id": video,
        "source": f"https://example.org/{video}",
        "level": level,
        "shard": 0,
        "start": float(start),
        "end": float(end),
        "offset": float(start),
        "width": 456,
        "height": 256,
        "num_frames": SECONDS * FPS,
        "fps": float(FPS),
        "language": "en",
        "subtitle": "and so we walk on " * 8,
        "subtitle_origin": "auto",
        "speech_seconds": 9.0,
        "motion": 0.1,
    }


def _film(scratch: Path) -> bytes:
    """Encode one root as the media stage stores it."""
    stored = EncodeSettings()
    picture = f"testsrc2=s=456x256:r=30:d={SECONDS},noise=alls=3:allf=t,fps={FPS}"
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=frequency=220:sample_rate=16000:d={SECONDS}")
    x264 = ("-c:v", "libx264", "-preset", stored.preset, "-tune", "fastdecode", "-crf", f"{stored.crf:g}")
    closed = ("-g", str(stored.gop), "-sc_threshold", "0", "-bf", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "1")
    return _made(scratch / "film.mp4", *inputs, *x264, *closed, "-movflags", "+faststart")


def _still(scratch: Path) -> bytes:
    return _made(scratch / "still.jpg", "-f", "lavfi", "-i", "testsrc2=s=796x448:d=1", "-frames:v", "1")


def _made(path: Path, *args: str) -> bytes:
    run([ffmpeg_binary(), "-v", "error", "-y", *args, str(path)], timeout=600)
    return path.read_bytes()


def copied(tars: Path, output: Path) -> int:
    """Copy the members of all tars of a folder into new tars; return the number of videos."""
    videos = 0
    output.mkdir()
    for path in sorted(tars.glob("*.tar")):
        with tarfile.open(path) as source, tarfile.open(output / path.name, "w", format=tarfile.USTAR_FORMAT) as target:
            for member in source:
                target.addfile(member, source.extractfile(member))
                videos += member.name.endswith(".mp4")
    return videos


def measure(store: Store, folder: Path, runs: int) -> dict[str, list[tuple[float, float]]]:
    """Return (clips per second, clips per CPU-second) of each way and of copying its bytes, run by run."""
    rates: dict[str, list[tuple[float, float]]] = {}
    for number in range(runs):
        for name, options in WAYS.items():
            how = dict(options)
            clips = ExportSelection(LAYER, unit=how.pop("unit", "clip"))
            output = folder / "out"
            rates.setdefault(name, []).append(_rate(lambda: export(store, clips, output=output, **how)))  # noqa: B023
            if how["format"] == "webdataset":
                copy = f"{name}: tar copied"
                rates.setdefault(copy, []).append(_rate(lambda: copied(output, folder / "copy")))  # noqa: B023
                shutil.rmtree(folder / "copy")
            shutil.rmtree(output)
            print(f"run {number + 1} of {runs}: {name} {rates[name][-1][0]:.0f} clips/s", flush=True)
    return rates


def _rate(work: Callable[[], int]) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    clips = work()
    return clips / (time.perf_counter() - began), clips / (time.process_time() - cpu)


def report(rates: Mapping[str, list[tuple[float, float]]], size: float, roots: int) -> str:
    """Return the rates as Markdown; a ratio is that of the medians, with those of all runs."""
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores; {roots} roots of {SECONDS} s, "
        f"{size / roots / 1e6:.1f} MB each, {len(_TREE)} clips a root",
        "",
        "| way | clips/s | clips per CPU-s | of copying its tars, wall (runs) | CPU (runs) |",
        "|---|---|---|---|---|",
    ]
    for name, runs in rates.items():
        copied_clips = rates["webdataset, clips: tar copied"]
        base = runs if name.endswith(": tar copied") else rates.get(f"{name}: tar copied", copied_clips)
        shown = [f"{statistics.median(run[column] for run in runs):.0f}" for column in (0, 1)]
        lines.append(
            f"| {name} | {' | '.join(shown)} | {' | '.join(_ratio(runs, base, column) for column in (0, 1))} |"
        )
    return "\n".join(lines)


def _ratio(runs: list[tuple[float, float]], base: list[tuple[float, float]], column: int) -> str:
    if runs is base:
        return "1"
    ratios = [run[column] / copy[column] for run, copy in zip(runs, base, strict=True)]
    return f"{statistics.median(ratios):.2f} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roots", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        store = build(scratch / "dir", arguments.roots, scratch)
        size = store.entry(f"media/{shard_name(0)}.tar").size
        print(report(measure(store, scratch, arguments.runs), size, arguments.roots))


if __name__ == "__main__":
    main()
