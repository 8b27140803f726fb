"""Checks of the tables over all shards (``selections/*.parquet``): rows, marks, clips, and digests of their inputs.

Part of `shards.checks.check_dir`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import Artifact
from shards.checks.check_rows import mark_problems
from shards.checks.dir_survey import DirSurvey, Problem, digest_problems, first_lines, input_problems, without_name
from shards.errors import ShardError
from shards.reader import read_artifact, read_table
from shards.schema import SELECTION
from shards.selections.selection import FOLDER, STAGE, shards_of
from shards.stored_rows import StoredSelection


def selection_problems(
    folder: DirSurvey, keys: Mapping[int, pa.Array], digests: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield the problems of every table over all shards.

    Args:
        folder: the DIR.
        keys: keys of the clips of each shard.
        digests: digest of each artifact of the shards, by name.
    """
    for name in sorted(name for name in folder.files if name.startswith(f"{FOLDER}/") and name.endswith(".parquet")):
        try:
            artifact, table = read_artifact(folder.store, name), read_table(folder.store, name)
        except (ShardError, OSError) as error:
            yield Problem(name, without_name(error, name))
            continue
        lines = chain(digest_problems(table, artifact), input_problems(artifact, digests))
        if artifact.stage == STAGE:
            lines = chain(lines, _row_problems(table, artifact, keys))
        yield from (Problem(name, what) for what in first_lines(lines))


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
