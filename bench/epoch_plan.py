"""Opening a DIR of 312,500 shards (20 million videos) for training, and planning an epoch of it.

    python -m bench.epoch_plan                       # 3,125, 31,250 and 312,500 shards
    python -m bench.epoch_plan --shards 3125

Only what grows with the number of shards is real: the index, the names of the text tables, and a selection with the
digest of each input in its footer. There are sixteen clips a shard, and real texts for the first shards only. Each size
is measured in a process of its own; memory is the peak above what the libraries take.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bench.memory import in_use, peak
from shards.artifact import FOOTER_KEY, Artifact
from shards.keys import clip_key, shard_name, video_id
from shards.manifest import Manifest, StageMark, write_manifest, write_stage
from shards.schema import INDEX, SELECTION, TEXT
from shards.storage.store import Store
from shards.writer import commit_record, commit_table
from training.data.order.epoch_order import shards_a_window, shuffled_windows
from training.data.sources.root_counts import count_roots
from training.data.sources.shard_tables import open_shards

LAYER: Final = "bench"
SIZES: Final = (3_125, 31_250, 312_500)
CLIPS: Final = 16
GROUP_ROWS: Final = 16_384
"""Rows of a row group of a selection, as in `curation.selection.row_groups`."""
COUNTED: Final = 32
"""Shards with real texts, whose roots are counted."""
VIDEOS_A_SHARD: Final = 64
_CPU: Final = torch.device("cpu")


@dataclass(frozen=True)
class Measured:
    """One step at one size."""

    shards: int
    step: str
    seconds: float
    mib: float


def write_dir(root: Path, shards: int) -> None:
    """Write everything that a trainer reads before the first batch."""
    store = Store(root)
    write_manifest(store, Manifest("bench", {}, VIDEOS_A_SHARD, "h"))
    (root / "text" / LAYER).mkdir(parents=True)
    (root / "selections").mkdir()
    write_stage(store, f"text/{LAYER}", StageMark("rewrite", "h"))
    for shard in range(COUNTED, shards):
        (root / f"text/{LAYER}/{shard_name(shard)}.parquet").touch()
    for shard in range(COUNTED):
        texts = pa.Table.from_pylist([_text_row(shard, key) for key in _keys(shard)], schema=TEXT)
        commit_table(store, root.parent, f"text/{LAYER}/{shard_name(shard)}.parquet", texts, Artifact("rewrite", "h"))
    numbers = np.arange(shards)
    counts = {name: np.full(shards, CLIPS) for name in INDEX.names if name not in ("shard", "digest")}
    index = {"shard": numbers, **counts, "digest": [f"{number:016x}" for number in numbers]}
    commit_record(store, root.parent, "index.parquet", _cast(index, INDEX), Artifact("index", ""))
    keys = [key for shard in range(shards) for key in (_keys(shard) if shard < COUNTED else [""] * CLIPS)]
    rows = {"key": keys, "shard": np.repeat(numbers, CLIPS), "keep": np.ones(len(keys), bool)}
    rows |= {"filter_reason": pa.nulls(len(keys), pa.string()), "split": pa.repeat("train", len(keys))}
    names = [f"{shard_name(shard)}.parquet" for shard in range(shards)]
    inputs = {f"{folder}/{name}": f"{n:016x}" for folder in ("media", f"text/{LAYER}") for n, name in enumerate(names)}
    record = Artifact("select", "h", "digest", inputs).to_json()
    marks = _cast(rows, SELECTION).replace_schema_metadata({FOOTER_KEY: record})
    pq.write_table(marks, root / f"selections/{LAYER}.parquet", row_group_size=GROUP_ROWS)


def _cast(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _keys(shard: int) -> list[str]:
    return [clip_key(video_id(f"{shard}-{number}"), 0.0, 13.0) for number in range(CLIPS)]


def _text_row(shard: int, key: str) -> dict[str, Any]:
    return {
        "key": key, "root_key": key, "video_id": key[:16], "source": "https://example.org", "level": "short",
        "shard": shard, "start": 0.0, "end": 13.0, "offset": 0.0, "width": 256, "height": 144, "num_frames": 104,
        "fps": 8.0, "subtitle": "words", "subtitle_origin": "auto", "rewrite_status": "ok", "grounded_text": "a cat",
    }  # fmt: skip


def measure(root: Path, shards: int) -> list[Measured]:
    """Measure each step in this process."""
    found: list[Measured] = []

    @contextmanager
    def step(name: str) -> Iterator[None]:
        before, began = in_use(_CPU), time.process_time()
        yield
        found.append(Measured(shards, name, time.process_time() - began, (peak(_CPU) - before) / 2**20))

    with step("open the DIR"):
        opened = open_shards([str(root)], None)
    assert len(opened.shards) == shards
    with step(f"count the roots of {COUNTED} shards"):
        count_roots(opened.shards[:COUNTED], "train", True)
    with step("plan an epoch"):
        window = shards_a_window([VIDEOS_A_SHARD] * shards, 4096, 4.0, 8)
        assert sum(map(len, shuffled_windows(shards, window, 0, 0, even=True))) == shards
    return found


def main() -> None:
    """Measure each size and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--dir", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.dir:
        print(json.dumps([asdict(one) for one in measure(arguments.dir, arguments.shards[0])]))
        return
    print("| shards | step | CPU-s | MiB |\n|---|---|---|---|")
    for shards in arguments.shards:
        with tempfile.TemporaryDirectory(prefix="bench-epoch-") as folder:
            root = Path(folder) / "dir"
            root.mkdir()
            write_dir(root, shards)
            command = [sys.executable, "-m", "bench.epoch_plan", "--dir", str(root), "--shards", str(shards)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        for one in json.loads(done.stdout.splitlines()[-1]):
            print(f"| {one['shards']:,} | {one['step']} | {one['seconds']:.2f} | {one['mib']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
