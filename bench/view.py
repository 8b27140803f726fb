"""Time and memory of `curate view`: start, first page, filters, search, with 1,000 and 1,000,000 clips.

    python -m bench.view                               # 10^3 clips in 1 shard, 10^6 clips in 1,000 shards
    python -m bench.view --clips 100000 --shards 100

The DIR has texts of about the bytes of a real layer, a selection, two scores and vectors of 256 numbers; no videos. The
viewer is the command itself, in a process of its own; each page is asked for twice. Memory is its resident set: the
largest that it ever had, read after each page. CPU-seconds are those of the viewer. With `--index` the index over the
vectors is built, and searches by it are compared with searches that compare each vector, in this process, in turn.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray

from curation.scores.embeddings.vector_index import build_index, open_index
from curation.view.browser.queries.similar_clips import SearchWay, StoredVectors, nearest_clips
from shards.artifact import Artifact
from shards.keys import clip_key, shard_name, video_id
from shards.manifest import Manifest, StageMark, write_manifest, write_stage
from shards.schema import SELECTION, TEXT
from shards.scores.match import unit_rows
from shards.scores.score_set import ScoreSet
from shards.scores.score_writer import ShardScores, commit_scores, score_schema
from shards.selections.selection import table_name
from shards.storage.store import Store
from shards.writer import commit_table

_TREE: Final = [
    ("long", 0, 60), ("medium", 0, 30), ("short", 0, 10), ("short", 10, 20), ("short", 20, 30), ("medium", 30, 60),
    ("short", 30, 40), ("short", 40, 50), ("short", 50, 60), ("short", 60, 72),
]  # fmt: skip
"""Level, start and end of the clips of one minute; the last is a root of its own."""
_WIDTH: Final = 256
_WORDS: Final = np.array([f"word{number}" for number in range(2000)])


def write_dir(root: Path, clips: int, shards: int) -> str:
    """Write the tables of a DIR; return the key of one of its clips."""
    store, rng = Store(root), np.random.default_rng(0)
    write_manifest(store, Manifest("bench", {}, 64, "h"))
    write_stage(store, "text/bench", StageMark("rewrite", "h"))
    write_stage(store, "scores/bench", StageMark("score", "h", {"vectors": {"clip": "path:///model"}}))
    marks = []
    for shard in range(shards):
        texts = _texts(shard, clips // shards, rng)
        commit_table(store, root.parent, f"text/bench/{shard_name(shard)}.parquet", texts, Artifact("rewrite", "h"))
        keys = texts.select(["key", "shard"])
        marks.append(_marks(keys, rng))
        _write_scores(store, root.parent, shard, keys, rng)
    commit_table(store, root.parent, table_name("bench"), pa.concat_tables(marks), Artifact("select", "h"))
    return str(keys["key"][0].as_py())


def _texts(shard: int, rows: int, rng: np.random.Generator) -> pa.Table:
    minutes = -(-rows // len(_TREE))
    videos = [video_id(f"{shard}-{minute // 5}") for minute in range(minutes)]
    spans = [
        (videos[minute], 80.0 * (minute % 5), level, start, end)
        for minute in range(minutes)
        for level, start, end in _TREE
    ][:rows]
    keys = [clip_key(video, zero + start, zero + end) for video, zero, _, start, end in spans]
    roots = [
        clip_key(video, zero + 60, zero + 72) if end > 60 else clip_key(video, zero, zero + 60)
        for video, zero, _, _, end in spans
    ]
    words = [" ".join(row) for row in rng.choice(_WORDS, (rows, 40))]
    captions = [" ".join(row) for row in rng.choice(_WORDS, (rows, 12))]
    known: dict[str, Any] = {
        "key": keys,
        "root_key": roots,
        "parent_key": [None if key == root else root for key, root in zip(keys, roots, strict=True)],
        "video_id": [video for video, *_ in spans],
        "source": [f"https://example.org/{video}" for video, *_ in spans],
        "level": [level for _, _, level, _, _ in spans],
        "shard": [shard] * rows,
        "start": [zero + start for _, zero, _, start, _ in spans],
        "end": [zero + end for _, zero, _, _, end in spans],
        "offset": [float(start % 60) for *_, start, _ in spans],
        "width": [256] * rows,
        "height": [144] * rows,
        "num_frames": [480] * rows,
        "fps": [8.0] * rows,
        "language": rng.choice(["en", "de", "fr"], rows).tolist(),
        "subtitle": words,
        "subtitle_origin": ["auto"] * rows,
        "caption": captions,
        "caption_summary": captions,
        "grounded_text": captions,
        "rewrite_status": rng.choice(["ok", "abstained"], rows).tolist(),
        "claims": [[{"text": text, "verdict": "supported", "evidence": ["frame@1"]}] for text in captions],
        "grounding_score": rng.random(rows).tolist(),
    }
    arrays = [pa.array(known.get(field.name, [None] * rows), field.type) for field in TEXT]
    return pa.Table.from_arrays(arrays, schema=TEXT)


def _marks(keys: pa.Table, rng: np.random.Generator) -> pa.Table:
    keep = rng.random(keys.num_rows) < 0.7
    columns = {
        "key": keys["key"],
        "shard": keys["shard"],
        "keep": keep,
        "filter_reason": [None if kept else "static" for kept in keep],
        "split": ["train"] * len(keep),
    }
    return pa.Table.from_pydict(columns).cast(SELECTION)


def _write_scores(store: Store, scratch: Path, shard: int, keys: pa.Table, rng: np.random.Generator) -> None:
    schema = score_schema({"motion": pa.float32(), "brightness": pa.float32()})
    values = [pa.array(rng.random(keys.num_rows), pa.float32()) for _ in range(2)]
    table = pa.Table.from_arrays([keys["key"].combine_chunks(), keys["shard"].combine_chunks(), *values], schema=schema)
    vectors = _near_their_topics(keys.num_rows, rng)
    commit_scores(store, scratch, "scores/bench", ShardScores(shard, table, {"clip": vectors}), Artifact("score", "h"))


def _near_their_topics(rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return vectors [rows, D] around 2,000 topics: clips of real videos are alike, too, and not spread evenly."""
    topics_TD = np.random.default_rng(1).standard_normal((2000, _WIDTH), np.float32)
    return topics_TD[rng.integers(0, len(topics_TD), rows)] + rng.standard_normal((rows, _WIDTH), np.float32)


def measure_index(root: Path) -> None:
    """Build the index, and print the time of a search by it, that of exact search, and their ratio, in three rounds."""
    scored = ScoreSet.open(Store(root), "bench")
    vectors = StoredVectors(scored, "clip")
    began, cpu = time.perf_counter(), _cpu(os.getpid())
    record = build_index(scored, "clip", lambda done, total: None)
    print(
        f"  index of {record.vectors:,} vectors, {record.bytes / 1e6:.0f} MB: {time.perf_counter() - began:.0f} s",
        end="",
    )
    print(f" ({_cpu(os.getpid()) - cpu:.0f} CPU-s), {_peak(os.getpid()):.0f} MiB at most")
    print(f"  recall of the {record.nearest} nearest {record.recall:.4f}, at least {record.least_recall:.4f}")
    index = open_index(scored, "clip")
    assert index is not None
    for round_ in range(3):
        shard = scored.shards[(len(scored.shards) // 3) * round_]
        vector_D = unit_rows(np.asarray(scored.vector(shard, "clip")[:1]))[0]
        by_index = _timed(lambda: nearest_clips(vectors, SearchWay(record.vectors, index), vector_D))  # noqa: B023
        each = _timed(lambda: nearest_clips(vectors, SearchWay(record.vectors, None), vector_D))  # noqa: B023
        print(f"  search: by index {by_index:.3f} CPU-s, each compared {each:.3f} CPU-s, ratio {each / by_index:.1f}")


def _timed(search: Callable[[], object]) -> float:
    began = _cpu(os.getpid())
    for _ in range(3):
        search()
    return max(_cpu(os.getpid()) - began, 0.01) / 3


def measure(root: Path, key: str) -> None:
    """Start the viewer, ask for its pages, and print seconds and memory."""
    began = time.perf_counter()
    with _viewer(root) as (process, address), httpx.Client(base_url=address, timeout=600) as client:
        client.get("/static/viewer.css").raise_for_status()
        print(f"  {'start':<30} {time.perf_counter() - began:7.2f} s ({_cpu(process.pid):6.2f} CPU-s)")
        for name, path in _pages(key).items():
            first, again = (_seconds(client, path, process.pid) for _ in range(2))
            print(f"  {name:<30} {first}, again {again}, {_peak(process.pid):5.0f} MiB", flush=True)


def _pages(key: str) -> dict[str, str]:
    return {
        "first page": "/browse",
        "level and range of a score": "/browse?level=short&min.motion=0.5&keep=kept",
        "page 1,000 by a score": "/browse?sort=-brightness&page=1000",
        "random order": "/browse?sort=random&seed=1",
        "text contains (three columns)": "/browse?text=word77+word",
        "condition in SQL": f"/browse?sql={quote('len(claims) > 0 and motion > 0.9')}",
        "clip": f"/clip/{key}",
        "similar clips": f"/search?like={key}",
    }


def _seconds(client: httpx.Client, path: str, pid: int) -> str:
    began, cpu = time.perf_counter(), _cpu(pid)
    client.get(path).raise_for_status()
    return f"{time.perf_counter() - began:7.2f} s ({_cpu(pid) - cpu:6.2f} CPU-s)"


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@contextmanager
def _viewer(root: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "curation.cli", "view", str(root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield process, found[0]
    finally:
        process.terminate()
        process.wait()


def _peak(pid: int) -> float:
    """Return the largest resident set of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


def main() -> None:
    """Measure both sizes, or the given one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--index", action="store_true", help="build the index, and compare searches")
    arguments = parser.parse_args()
    sizes = [(arguments.clips, arguments.shards)] if arguments.clips else [(1000, 1), (1_000_000, 1000)]
    print(platform.machine())
    for clips, shards in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-view-") as folder:
            root = Path(folder) / "dir"
            key = write_dir(root, clips, shards)
            print(f"{clips:,} clips in {shards:,} shards", flush=True)
            measure(root, key)
            if arguments.index:
                measure_index(root)


if __name__ == "__main__":
    main()
