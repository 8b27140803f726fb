"""Tables by which selections choose clips, made by hand: scores, videos, duplicates, contamination."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from shards.artifact import Artifact
from shards.manifest import StageMark, write_stage
from shards.reader import read_artifact, read_table
from shards.schema import VIDEOS
from shards.scores.score_set import STAGE
from shards.scores.score_writer import ShardScores, commit_scores
from shards.selections.findings import FindingKind
from shards.storage.store import Store
from shards.writer import commit_table, schema_of

LICENCES = ("CC BY 4.0", "Creative Commons Attribution", "Standard licence", None)


def match_of(clip: Mapping[str, Any]) -> float | None:
    """The score `match` of a clip: a number by its key; null for some clips, NaN for others."""
    number = int(clip["video_id"][:4], 16) * 31 + round(clip["start"] * 8) + len(clip["level"])
    return None if number % 7 == 0 else math.nan if number % 11 == 0 else number % 100 / 100


def licence_of(root: Mapping[str, Any]) -> str | None:
    """The licence of a root's video."""
    return LICENCES[int(root["video_id"][0], 16) % 4]


def shard_names(store: Store) -> list[str]:
    """Return the names of the tables of media, without their folder."""
    return [name for name in sorted(store.list("media")) if name.endswith(".parquet")]


def clips_of(store: Store) -> list[dict[str, Any]]:
    """Return the rows of media of all shards, in order."""
    return [row for name in shard_names(store) for row in read_table(store, f"media/{name}").to_pylist()]


def write_scores(store: Store, name: str, scores: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Write a score set of all shards; `scores` returns the values of a clip by column."""
    write_stage(store, f"scores/{name}", StageMark(STAGE, "score-hash"))
    for table in shard_names(store):
        clips = read_table(store, f"media/{table}").to_pylist()
        rows = [{"key": clip["key"], "shard": clip["shard"], **scores(clip)} for clip in clips]
        record = Artifact(STAGE, "score-hash", inputs=_digests(store, [f"media/{table}"]))
        with TemporaryDirectory() as scratch:
            made = ShardScores(clips[0]["shard"], pa.Table.from_pylist(rows).cast(_typed(rows)))
            commit_scores(store, Path(scratch), f"scores/{name}", made, record)


def write_videos(store: Store, facts: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Write what is known of the video of each root; `facts` returns it for a root clip."""
    for table in shard_names(store):
        roots = [clip for clip in read_table(store, f"media/{table}").to_pylist() if clip["parent_key"] is None]
        rows = pa.Table.from_pylist([{"root_key": root["key"], **facts(root)} for root in roots], schema=VIDEOS)
        _commit(store, f"videos/{table}", rows, Artifact("media", "media-hash"))


def write_findings(
    store: Store, kind: FindingKind, name: str, rows: Sequence[Mapping[str, Any]], layers: Sequence[str] = ()
) -> None:
    """Write a table of duplicates or of contamination over all shards, from the media and the texts of layers."""
    plain = {"kind": "exact", "score": None, "keep": False, "benchmark_id": "1", "reason": None}
    file = f"{kind}/{name}.parquet"
    schema = schema_of(file)
    full = [{column: (plain | dict(row)).get(column) for column in schema.names} for row in rows]
    folders = ("media", *(f"text/{layer}" for layer in layers))
    made_from = [f"{folder}/{table}" for folder in folders for table in shard_names(store)]
    record = Artifact(kind, "h", inputs=_digests(store, made_from))
    _commit(store, file, pa.Table.from_pylist(full, schema=schema), record)


def _typed(rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
    kinds = {"shard": pa.int32()}
    numbers = {name for row in rows for name, value in row.items() if isinstance(value, float)}
    names = list(rows[0])
    return pa.schema([(name, kinds.get(name, pa.float32() if name in numbers else pa.string())) for name in names])


def _digests(store: Store, names: Sequence[str]) -> dict[str, str]:
    return {name: read_artifact(store, name).digest for name in names}


def _commit(store: Store, name: str, rows: pa.Table, record: Artifact) -> None:
    with TemporaryDirectory() as scratch:
        commit_table(store, Path(scratch), name, rows, record)
