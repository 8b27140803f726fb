"""Hold out the videos of a small DIR in turn, so that every clip is scored by a model that has not seen its video.

A split by hash leaves the demo with one or two held-out clips that have a text, and a score of those means nothing.
Each fold is a selection of the DIR: it keeps what the layer's own selection keeps, and only the split differs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyarrow as pa

from runtime.errors import UserError
from shards.artifact import Artifact
from shards.reader import read_artifact, read_table, text_layers
from shards.schema import SELECTION
from shards.selections.selection import STAGE, table_name
from shards.storage.store import Store
from shards.writer import commit_table

_NAME: Final = "hold-out-{number}"


@dataclass(frozen=True)
class PooledScore:
    """Retrieval by text over all folds; each clip is ranked among the held-out clips of its fold."""

    clips: int
    first: int
    """Clips that come first for their own text."""
    first_by_chance: float
    """Expected number of them in a random ranking: one a fold."""
    mean_rank: float
    mean_rank_by_chance: float


def write_folds(shards: str, folds: int = 3) -> list[str]:
    """Write a selection for each fold; return their names.

    Raises:
        UserError: the DIR has several text layers, or fewer than `folds` videos have a kept clip with grounded text.
    """
    store = Store(shards)
    layers = text_layers(store)
    if len(layers) != 1:
        raise UserError(f"--shards {shards}: has {len(layers)} text layers; the demo needs one")
    tables = [name for name in sorted(store.list(f"text/{layers[0]}")) if name.endswith(".parquet")]
    paths = [f"text/{layers[0]}/{name}" for name in tables]
    texts = [row for path in paths for row in read_table(store, path, ["key", "video_id", "grounded_text"]).to_pylist()]
    marks = {row["key"]: row for row in read_table(store, table_name(layers[0])).to_pylist()}
    counts = Counter(row["video_id"] for row in texts if row["grounded_text"] and marks[row["key"]]["keep"])
    divided = divide(counts, folds)
    if not all(divided):
        raise UserError(f"--shards {shards}: {len(counts)} videos have grounded text; {folds} folds need one each")
    record = Artifact(STAGE, f"{folds} folds", inputs={path: read_artifact(store, path).digest for path in paths})
    names = []
    for number, held_out in enumerate(divided, start=1):
        rows = [marks[row["key"]] | {"split": "val" if row["video_id"] in held_out else "train"} for row in texts]
        names.append(_NAME.format(number=number))
        _commit(store, names[-1], rows, record)
    return names


def _commit(store: Store, name: str, rows: Sequence[Mapping[str, Any]], record: Artifact) -> None:
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=SELECTION)
    with TemporaryDirectory() as scratch:
        commit_table(store, Path(scratch), table_name(name), table, record)


def divide(clips: Mapping[str, int], folds: int) -> list[set[str]]:
    """Divide videos into folds with about as many clips each: the largest first, each to the fold with the fewest.

    Args:
        clips: number of clips by video.
        folds: number of folds.
    """
    divided: list[set[str]] = [set() for _ in range(folds)]
    sizes = [0] * folds
    for video in sorted(clips, key=lambda name: (-clips[name], name)):
        smallest = sizes.index(min(sizes))
        divided[smallest].add(video)
        sizes[smallest] += clips[video]
    return divided


def pool(reports: Sequence[Path]) -> PooledScore:
    """Pool the reports of `eval-vidla retrieval` over folds, text to video, without dual softmax."""
    queries = first = chance = ranks = ranks_by_chance = 0.0
    for report in reports:
        found = json.loads(report.read_text(encoding="utf-8"))
        scores = next(each["t2v"] for each in found["results"] if not each["dual_softmax"])
        asked, gallery = scores["queries"], found["videos"]
        queries += asked
        first += asked * scores["r1"] / 100
        chance += asked / gallery
        ranks += asked * scores["mean_rank"]
        ranks_by_chance += asked * (gallery + 1) / 2
    return PooledScore(round(queries), round(first), chance, ranks / queries, ranks_by_chance / queries)
