"""Writes a set of visual features into a DIR of `support.shard_factory`; each row has its time as a value."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from support.shard_factory import LAYER

from shards.artifact import Artifact, FileFact
from shards.dataset import Dataset
from shards.keys import shard_name
from shards.manifest import StageMark, write_stage
from shards.schema import FEATURES
from shards.storage.store import Store
from shards.writer import commit_table

NAME = "seconds"
WIDTH = 6
RATE = 1.0


def write_features(
    root: str | Path,
    *,
    name: str = NAME,
    encoder: str = "seconds",
    width: int = WIDTH,
    has: Callable[[str], bool] = lambda root_key: True,
) -> None:
    """Write features of one row per second: the first value of row t is t + 0.5, the others are random.

    Args:
        root: the DIR.
        name: name of the set.
        encoder: name of the encoder in the set's record.
        width: numbers in a row.
        has: returns True for the key of a root with features; the others failed.
    """
    store = Store(root)
    made = {"encoder": encoder, "encoder_identity": encoder, "width": width}
    write_stage(store, f"features/{name}", StageMark("features", "features-hash", made))
    dataset = Dataset(str(root), LAYER)
    with TemporaryDirectory() as scratch:
        for shard in dataset.shards:
            _write_shard(store, Path(scratch), f"features/{name}/{shard_name(shard)}", dataset, shard, width, has)


def _write_shard(
    store: Store, scratch: Path, stem: str, dataset: Dataset, shard: int, width: int, has: Callable[[str], bool]
) -> None:
    clips = dataset.clips(shard, ["key", "parent_key", "num_frames", "fps"]).to_pylist()
    rows, arrays, first = [], [np.zeros((0, width), np.float16)], 0
    for clip in clips:
        if clip["parent_key"] is not None:
            continue
        count = round(clip["num_frames"] / clip["fps"] * RATE) if has(clip["key"]) else 0
        times = (np.arange(count) + 0.5) / RATE
        array = np.random.default_rng(len(rows)).normal(size=(count, width)).astype(np.float16)
        array[:, 0] = times
        arrays.append(array)
        failed = None if count else "undecodable"
        rows.append({"root_key": clip["key"], "first": first, "rows": count, "times": times.tolist(), "failed": failed})
        first += count
    local = scratch / "features.npy"
    np.save(local, np.concatenate(arrays))
    fact = FileFact(local.stat().st_size, hashlib.sha256(local.read_bytes()).hexdigest())
    store.commit(local, f"{stem}.npy")
    mark = replace(Artifact("features", "features-hash"), files={f"{stem}.npy": fact})
    commit_table(store, scratch, f"{stem}.parquet", pa.Table.from_pylist(rows, schema=FEATURES), mark)
