"""A DIR whose clips have scores, vectors, texts that are missing and a removed video, for the tests of exports."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from support.damaged_dirs import rewrite_table
from support.shard_factory import LAYER, build_dir

from shards.artifact import Artifact
from shards.keys import shard_name
from shards.manifest import StageMark, write_stage
from shards.reader import read_artifact, read_table
from shards.scores.score_writer import ShardScores, commit_scores, score_schema
from shards.storage.store import Store

WIDTH = 8
STATUSES = ("abstained", "failed")
"""States of the first two clips of the DIR, which have no grounded text; the last clip has no words of speech."""


def scored_dir(root: Path, shards: int = 2) -> Store:
    """Build a DIR with the score set ``quick``: `number` counts the clips of a shard, `look` has a vector for each."""
    store = build_dir(root, shards=shards, val_percent=50)
    rewrite_table(store, f"text/{LAYER}/0000000.parquet", _without_texts)
    write_stage(store, "scores/quick", StageMark("score", "h", {}, {}))
    for shard in range(shards):
        media = f"media/{shard_name(shard)}.parquet"
        keys = read_table(store, media)["key"].to_pylist()
        numbers = [float(number) for number in range(len(keys))]
        numbers[-1] = float("nan")
        columns = {"key": keys, "shard": [shard] * len(keys), "number": numbers}
        table = pa.table(columns, schema=score_schema({"number": pa.float32()}))
        record = Artifact("score", "h", inputs={media: read_artifact(store, media).digest})
        with TemporaryDirectory() as scratch:
            scores = ShardScores(shard, table, {"look": vectors_of(shard, len(keys))})
            commit_scores(store, Path(scratch), "scores/quick", scores, record)
    return store


def vectors_of(shard: int, clips: int) -> np.ndarray[Any, np.dtype[np.float16]]:
    """Return the vectors of a shard's clips, float16 [clips, WIDTH]; the second clip has none."""
    made = np.random.default_rng(shard).normal(size=(clips, WIDTH)).astype(np.float16)
    made[1] = np.nan
    return made


def _without_texts(rows: list[dict[str, Any]]) -> None:
    for row, status in zip(rows, STATUSES, strict=False):
        row |= {"grounded_text": None, "claims": None, "rewrite_status": status}
    rows[2]["grounded_text"] = "A red balloon rises over the wall."
