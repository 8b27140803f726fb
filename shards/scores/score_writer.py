"""Commits of scores: the vectors of a shard first, and last its table, which names their sizes and hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shards.artifact import Artifact, FileFact, table_digest
from shards.errors import ShardError
from shards.keys import shard_name
from shards.schema import SCORES
from shards.storage.files import file_sha256
from shards.storage.store import Store
from shards.writer import commit_record, conform


@dataclass(frozen=True)
class ShardScores:
    """The scores of one shard, before they are committed."""

    shard: int
    """Number of the shard."""
    table: pa.Table
    """One row a clip, in the order of the media's rows: `shards.schema.SCORES`, then a column a score."""
    vectors: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    """Vectors [rows of the table, D] by column; a row of NaN for a clip that has none."""


def vector_file(folder: str, shard: int, column: str) -> str:
    """Return the name, in the DIR, of the vectors of one column of a shard."""
    return f"{folder}/{shard_name(shard)}.{column}.npy"


def score_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return the schema of a table of scores with the given columns, by name."""
    return pa.schema([*SCORES, *(pa.field(name, type_) for name, type_ in columns.items())])


def commit_scores(
    store: Store, scratch: Path, folder: str, made: ShardScores, artifact: Artifact, final_folder: str | None = None
) -> Artifact:
    """Commit the scores of one shard: its vectors as float16, and last the table, which is the commit mark.

    Args:
        store: the DIR.
        scratch: an existing folder on a local disk for files while they grow.
        folder: folder of the set in the DIR.
        made: the scores; the table has the columns of `score_schema`.
        artifact: its record; `files` and `digest` are filled in.
        final_folder: the folder that `folder` will replace; the record names files there. None: `folder`.

    Returns:
        The artifact as committed; its digest covers the table and the vectors.

    Raises:
        ShardError: the table or a vector array does not fit; nothing is committed then.
        OSError: disk full, no permission, network.
    """
    name = f"{folder}/{shard_name(made.shard)}.parquet"
    table = conform(made.table, pa.schema([*SCORES, *list(made.table.schema)[len(SCORES) :]]), name)
    for column, vectors in made.vectors.items():
        if vectors.ndim != 2 or len(vectors) != table.num_rows:
            raise ShardError(f"{name}: vectors {column} of shape {vectors.shape} for {table.num_rows} rows")
    store.delete(name)
    facts = {}
    for column, vectors in made.vectors.items():
        fact = _commit_vectors(store, scratch, vector_file(folder, made.shard, column), vectors)
        facts[vector_file(final_folder or folder, made.shard, column)] = fact
    record = replace(artifact, files=facts, digest=scores_digest(table, facts))
    commit_record(store, scratch, name, table, record)
    return record


def scores_digest(table: pa.Table, files: Mapping[str, FileFact]) -> str:
    """Return sixteen hex digits over a table of scores and the hashes of its vectors, in order of their names."""
    digest = table_digest(table)
    if not files:
        return digest
    parts = [digest, *(files[name].sha256 for name in sorted(files))]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def _commit_vectors(store: Store, scratch: Path, name: str, vectors: NDArray[np.floating]) -> FileFact:
    local = scratch / f"commit-{name.replace('/', '-')}"
    try:
        with local.open("wb") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(vectors, np.float16), version=(1, 0))
        fact = FileFact(local.stat().st_size, file_sha256(local))
        store.commit(local, name)
    finally:
        local.unlink(missing_ok=True)
    return fact
