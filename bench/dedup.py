"""Time and memory of semantic deduplication against the number of vectors, and how many planted copies it finds.

    python -m bench.dedup                          # 10,000, 100,000 and 1,000,000 vectors of 512
    python -m bench.dedup --clips 10000 100000 --width 64

The vectors lie around topics of very different sizes in a subspace of 64 dimensions, and every twentieth is a copy of
another with a cosine of about 0.97. The whole of `curate dedup --semantic` is timed, in one process without Ray, from
reading tables to the written one. Each size runs in a process of its own. Growth is compared with n log n.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from bench.memory import MAPPED, in_use, peak
from curation.selection.deduplication.dedup_run import DedupRequest, deduplicate
from curation.selection.deduplication.dedup_settings import DedupSettings
from shards.artifact import Artifact
from shards.keys import clip_key, shard_name, video_id
from shards.manifest import StageMark, write_stage
from shards.reader import read_artifact, read_table
from shards.schema import CLIPS, SCORES
from shards.scores.score_writer import ShardScores, commit_scores
from shards.storage.store import Store
from shards.writer import commit_table

SIZES: Final = (10_000, 100_000, 1_000_000)
THRESHOLD: Final = 0.95
_SHARD: Final = 10_000
_LATENT: Final = 64
_TOPICS: Final = 5000
_COPY_EVERY: Final = 20
_COPY_NOISE: Final = 0.25
_MEDIA: Final = (
    "key", "root_key", "parent_key", "video_id", "level", "shard", "start", "end", "width", "height", "byte_offset",
    "byte_size",
)  # fmt: skip
_CPU: Final = torch.device("cpu")


@dataclass(frozen=True)
class Measured:
    """Result of one size."""

    clips: int
    wall_seconds: float
    cpu_seconds: float
    mib: float
    recall: float
    """Share of planted copies that go."""
    removed: float
    """Share of clips that go."""


def vectors(clips: int, width: int) -> Iterator[np.ndarray]:
    """Yield vectors shard by shard; every `_COPY_EVERY`-th is a copy of one that comes half of the clips before it."""
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(_TOPICS, _LATENT)).astype(np.float32)
    sizes = 1 / np.arange(1, _TOPICS + 1)
    into = (rng.normal(size=(_LATENT, width)) / math.sqrt(_LATENT)).astype(np.float32)
    seeds = np.random.SeedSequence(1).spawn(-(-clips // _SHARD))
    latent = lambda shard: _latent(np.random.default_rng(seeds[shard]), topics, sizes)  # noqa: E731
    half = clips // 2 // _SHARD if clips > _SHARD else 0
    for shard in range(-(-clips // _SHARD)):
        own = latent(shard)
        if shard >= half or clips <= _SHARD:
            before = latent(shard - half)
            rows = copies(clips, shard)
            noise = np.random.default_rng(shard).normal(size=(len(rows), _LATENT)).astype(np.float32)
            source = before[rows - (0 if half else _SHARD // 2)]
            length = np.linalg.norm(source, axis=1, keepdims=True)
            own[rows] = source + _COPY_NOISE * noise * length / math.sqrt(_LATENT)
        yield (own @ into).astype(np.float16)


def copies(clips: int, shard: int) -> np.ndarray:
    """Return the rows of a shard that are copies; none in the first half of the clips."""
    half = clips // 2 // _SHARD if clips > _SHARD else 0
    rows = np.arange(0, _SHARD, _COPY_EVERY)
    return rows[rows >= _SHARD // 2] if not half else (rows if shard >= half else rows[:0])


def _latent(rng: np.random.Generator, topics: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    topic = rng.choice(len(topics), _SHARD, p=sizes / sizes.sum())
    noise = rng.normal(size=(_SHARD, _LATENT)).astype(np.float32)
    made: np.ndarray = topics[topic] + noise
    return made


def write_dir(root: Path, clips: int, width: int) -> None:
    """Write the tables of media and scores; the tars are empty."""
    store = Store(root)
    write_stage(store, "scores/bench", StageMark("score", "h", {"vectors": {"clip": "none"}}))
    schema = pa.schema([CLIPS.field(name) for name in _MEDIA])
    for shard, made in enumerate(vectors(clips, width)):
        name = f"media/{shard_name(shard)}"
        media = commit_table(
            store, root.parent, f"{name}.parquet", _clips(shard, schema), Artifact("media", "h"), schema
        )
        store.commit_bytes(b"", f"{name}.tar")
        table = pa.table({"key": _keys(shard), "shard": pa.array([shard] * _SHARD, pa.int32())}, schema=SCORES)
        record = Artifact("score", "h", inputs={f"{name}.parquet": media.digest})
        commit_scores(store, root.parent, "scores/bench", ShardScores(shard, table, {"clip": made}), record)


def _keys(shard: int) -> list[str]:
    video = video_id(str(shard))
    return [clip_key(video, 13.0 * row, 13.0 * (row + 1)) for row in range(_SHARD)]


def _clips(shard: int, schema: pa.Schema) -> pa.Table:
    keys, same = _keys(shard), [0] * _SHARD
    columns: dict[str, Any] = {
        "key": keys, "root_key": keys, "parent_key": [None] * _SHARD, "video_id": [key[:16] for key in keys],
        "level": ["short"] * _SHARD,
        "shard": [shard] * _SHARD, "start": same, "end": [13] * _SHARD, "width": [256] * _SHARD,
        "height": [144] * _SHARD, "byte_offset": same, "byte_size": same,
    }  # fmt: skip
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names})


def measure(root: Path, clips: int) -> Measured:
    """Deduplicate a DIR in this process."""
    store = Store(root)
    settings = DedupSettings(name="bench", semantic={"vectors": "bench.clip", "threshold": THRESHOLD})  # type: ignore[arg-type]
    before, began, cpu = in_use(_CPU), time.perf_counter(), time.process_time()
    result = deduplicate(DedupRequest(store, settings, "local", quiet=True))
    wall, used, mib = time.perf_counter() - began, time.process_time() - cpu, (peak(_CPU) - before) / 2**20
    table = read_table(store, result.file, ["key", "keep"])
    gone = set(table.filter(pc.invert(table["keep"]))["key"].to_pylist())
    planted = [key for shard in range(clips // _SHARD) for key in np.array(_keys(shard))[copies(clips, shard)].tolist()]
    recall = sum(key in gone for key in planted) / len(planted)
    counts = read_artifact(store, "duplicates/.bench/semantic.parquet").counts
    print(f"{counts['pairs']:,.0f} pairs", file=sys.stderr)
    return Measured(clips, wall, used, mib, recall, len(gone) / clips)


def measure_apart(root: Path, clips: int) -> Measured:
    """Deduplicate a DIR in a process of its own."""
    import os

    command = [sys.executable, "-m", "bench.dedup", "--dir", str(root), "--clips", str(clips)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | MAPPED)
    if done.returncode:
        raise SystemExit(done.stderr)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def report(found: Sequence[Measured]) -> None:
    """Print a row for each size, and its growth over the size before as a multiple of n log n."""
    print("|   clips | wall s | CPU s | MiB | planted copies found | clips that go | growth / n log n |")
    print("|---|---|---|---|---|---|---|")
    for before, one in zip([None, *found], found, strict=False):
        growth = "" if before is None else f"{one.wall_seconds / before.wall_seconds / _n_log_n(one, before):.2f}"
        print(
            f"| {one.clips:,} | {one.wall_seconds:.1f} | {one.cpu_seconds:.1f} | {one.mib:.0f} | "
            f"{100 * one.recall:.2f} % | {100 * one.removed:.1f} % | {growth} |",
            flush=True,
        )


def _n_log_n(one: Measured, before: Measured) -> float:
    return one.clips * math.log(one.clips) / (before.clips * math.log(before.clips))


def main() -> None:
    """Measure all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=list(SIZES), help="multiples of 10,000")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--dir", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.dir:
        print(json.dumps(asdict(measure(arguments.dir, arguments.clips[0]))))
        return
    found = []
    for clips in arguments.clips:
        with tempfile.TemporaryDirectory(prefix="bench-dedup-") as folder:
            root = Path(folder) / "dir"
            write_dir(root, clips, arguments.width)
            found.append(measure_apart(root, clips))
    print(f"{platform.machine()}, vectors of {arguments.width}, cosine of at least {THRESHOLD}")
    report(found)


if __name__ == "__main__":
    main()
