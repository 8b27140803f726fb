"""Checks of the scores of one shard against its clips and its vectors. Part of `shards.checks.check_dir`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import Artifact
from shards.checks.dir_survey import without_name
from shards.errors import ShardError
from shards.schema import SCORES
from shards.scores.score_set import vector_shape
from shards.scores.score_writer import scores_digest
from shards.storage.store import Store
from shards.stored_rows import StoredClip


def are_scores(schema: pa.Schema) -> bool:
    """Return True if the columns of a table are those of scores: `shards.schema.SCORES`, then any."""
    columns = list(schema.remove_metadata())
    return columns[: len(SCORES)] == list(SCORES) and len({*schema.names}) == len(columns)


def score_problems(
    store: Store, table: pa.Table, artifact: Artifact, clips: Sequence[StoredClip], shard: int
) -> Iterator[str]:
    """Yield the problems of a table of scores: its rows against the shard's clips, its values, its vectors.

    Args:
        store: the DIR.
        table: of ``scores/<name>/<shard>.parquet``.
        artifact: its record.
        clips: rows of ``media/<shard>.parquet``.
        shard: number of the shard.
    """
    if scores_digest(table, artifact.files) != artifact.digest:
        yield "its rows have changed since it was committed (digest differs)"
    if table.num_rows != len(clips):
        yield f"has {table.num_rows} rows, its shard has {len(clips)} clips"
    pairs = zip(table["key"].to_pylist(), clips, strict=False)
    differing = ((own, clip["key"]) for own, clip in pairs if own != clip["key"])
    yield from (f"clip {own}: is in the place of clip {key}" for own, key in islice(differing, 1))
    if any(number != shard for number in table["shard"].unique().to_pylist()):
        yield "has rows of another shard"
    for field in table.schema:
        if pa.types.is_floating(field.type) and not all(map(_is_finite, pc.unique(table[field.name]).to_pylist())):
            yield f"column {field.name} has values that are not finite"
    for name in artifact.files:
        yield from _vector_problems(store, name, table.num_rows)


def _vector_problems(store: Store, name: str, rows: int) -> Iterator[str]:
    try:
        held, _ = vector_shape(store, name)
    except FileNotFoundError:
        return  # reported with the files that the table names
    except ShardError as error:
        yield f"vectors {name}: {without_name(error, name)}"
        return
    if held != rows:
        yield f"has {rows} rows, its vectors {name} have {held}"


def _is_finite(value: float | None) -> bool:
    return value is None or math.isfinite(value)
