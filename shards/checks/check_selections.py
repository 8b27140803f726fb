"""Checks of the tables over all shards: selections, duplicates, contamination; their rows, and digests of inputs.

Part of `shards.checks.check_dir`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import Artifact
from shards.checks.check_rows import mark_problems
from shards.checks.dir_survey import (
    WHOLE_TABLES,
    DirSurvey,
    Problem,
    digest_problems,
    first_lines,
    folder_of,
    input_problems,
    without_name,
)
from shards.errors import ShardError
from shards.reader import read_artifact, read_table
from shards.schema import SELECTION
from shards.selections.selection import FOLDER, STAGE, shards_of, table_name
from shards.stored_rows import StoredSelection
from shards.writer import schema_of


def selection_problems(
    folder: DirSurvey, keys: Mapping[int, pa.Array], digests: Mapping[str, str], only: str | None = None
) -> Iterator[Problem]:
    """Yield the problems of every table over all shards.

    Args:
        folder: the DIR.
        keys: keys of the clips of each shard.
        digests: digest of each artifact of the shards, by name.
        only: name of the one selection to check; None: all.
    """
    names = sorted(name for name in folder.files if folder_of(name) in WHOLE_TABLES and name.endswith(".parquet"))
    records: dict[str, Artifact] = {}
    for name in names:
        try:
            records[name] = read_artifact(folder.store, name)
        except (ShardError, OSError) as error:
            yield Problem(name, without_name(error, name))
    known = {**digests, **{name: record.digest for name, record in records.items()}}
    for name, record in records.items():
        if only is None or folder_of(name) != FOLDER or name == table_name(only):
            yield from (Problem(name, what) for what in first_lines(_problems(folder, name, record, keys, known)))


def _problems(
    folder: DirSurvey, name: str, artifact: Artifact, keys: Mapping[int, pa.Array], digests: Mapping[str, str]
) -> Iterator[str]:
    """Yield the problems of one table."""
    try:
        table = read_table(folder.store, name)
    except (ShardError, OSError) as error:
        yield without_name(error, name)
        return
    yield from digest_problems(table, artifact)
    yield from input_problems(artifact, digests)
    if folder_of(name) != FOLDER:
        yield from _finding_problems(name, table, keys)
    elif artifact.stage == STAGE:
        yield from _row_problems(table, artifact, keys)


def _finding_problems(name: str, table: pa.Table, keys: Mapping[int, pa.Array]) -> Iterator[str]:
    """Yield the problems of the rows of a table of duplicates or of contamination."""
    if not table.schema.remove_metadata().equals(schema_of(name)):
        yield "its columns are not those of the schema"
        return
    clips = pa.chunked_array([keys[shard] for shard in sorted(keys)], pa.string())
    yield from (f"clip {key}: is no clip of the folder" for key in _without(table["key"], clips))


def _row_problems(table: pa.Table, artifact: Artifact, keys: Mapping[int, pa.Array]) -> Iterator[str]:
    """Yield the problems of the rows of one selection."""
    if not table.schema.remove_metadata().equals(SELECTION):
        yield "its columns are not those of the schema"
        return
    marked = shards_of(artifact)
    clips = pa.chunked_array([keys[shard] for shard in sorted(marked) if shard in keys], pa.string())
    yield from (f"clip {key}: has no row" for key in _without(clips, table["key"]))
    gone = marked - keys.keys()
    known = table.filter(pc.invert(pc.is_in(table["shard"], value_set=pa.array(sorted(gone), pa.int32()))))
    yield from (f"clip {key}: is no clip of its shards" for key in _without(known["key"], clips))
    counts = pc.value_counts(table["key"].combine_chunks())
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    yield from (f"clip {key}: has several rows" for key in repeated.to_pylist())
    splits: dict[str, str] = {}
    for row in (row for batch in table.to_batches(max_chunksize=4096) for row in batch.to_pylist()):
        stored = cast(StoredSelection, row)
        yield from (f"clip {stored['key']}: {what}" for what in mark_problems(stored))
        video = stored["key"].partition("_")[0]
        if splits.setdefault(video, stored["split"]) != stored["split"]:
            yield f"clip {stored['key']}: is in another split than other clips of its video"


def _without(these: pa.ChunkedArray, others: pa.ChunkedArray) -> list[str]:
    """Return the keys that are not among others."""
    return list(these.filter(pc.invert(pc.is_in(these, value_set=others.combine_chunks()))).to_pylist())
