"""Commits of artifacts: tables that keep to their schema, and tars before the table that names them.

A shard of media counts as made if ``media/<shard>.parquet`` is there and its tars have the sizes in its footer; that
table is therefore written last. A retry writes the same names again, so it leaves no duplicates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shards.artifact import FOOTER_KEY, Artifact, FileFact, RowsDigest, table_digest
from shards.errors import ShardError, one_line
from shards.keys import shard_name
from shards.schema import (
    CAPTIONS,
    CLIPS,
    CONTAMINATION,
    DUPLICATES,
    FEATURES,
    INDEX,
    LEDGER,
    REMOVED,
    SCHEMA_VERSION,
    SCORES,
    SELECTION,
    SOURCES,
    TEXT,
    VIDEOS,
)
from shards.schema_1 import CAPTIONS_1, SOURCES_1, TEXT_1
from shards.storage.store import Store
from shards.storage.tar import TarWriter

__all__ = [
    "Artifact",
    "FileFact",
    "ShardMedia",
    "commit_record",
    "commit_shard_media",
    "commit_table",
    "commit_tables",
    "conform",
    "media_digest",
    "schema_of",
    "table_digest",
]

_SCHEMAS = {
    "sources": SOURCES,
    "sources.parquet": SOURCES_1,
    "index.parquet": INDEX,
    "media": CLIPS,
    "ledger": LEDGER,
    "videos": VIDEOS,
    "captions": CAPTIONS,
    "text": TEXT,
    "selections": SELECTION,
    "duplicates": DUPLICATES,
    "contamination": CONTAMINATION,
    "removed.parquet": REMOVED,
    "features": FEATURES,
    "scores": SCORES,
}
_SCHEMAS_1 = _SCHEMAS | {"captions": CAPTIONS_1, "text": TEXT_1}


def commit_table(
    store: Store,
    scratch: Path,
    name: str,
    table: pa.Table,
    artifact: Artifact,
    schema: pa.Schema | None = None,
    group_rows: int | None = None,
) -> Artifact:
    """Write `table` as the Parquet file `name` of the DIR, with `artifact` in its footer.

    Args:
        store: the DIR.
        scratch: an existing folder on a local disk for the file while it grows.
        name: its name in the DIR (``text/<layer>/0000003.parquet``); decides the schema.
        table: the rows; columns in any order, cast if that loses nothing.
        artifact: its record; `digest` is filled in (`table_digest`).
        schema: schema of the table; None: that of `schema_of` for this name.
        group_rows: rows of a row group; None: Arrow's default.

    Returns:
        The artifact as committed.

    Raises:
        ShardError: the table does not keep to its schema.
        OSError: disk full, no permission, network; nothing half-written stays behind.
    """
    table = conform(table, schema_of(name) if schema is None else schema, name)
    artifact = replace(artifact, digest=table_digest(table))
    commit_record(store, scratch, name, table, artifact, group_rows)
    return artifact


def commit_tables(
    store: Store,
    scratch: Path,
    name: str,
    tables: Iterable[pa.Table],
    artifact: Callable[[], Artifact],
    schema: pa.Schema,
    notes: Mapping[str, str] | None = None,
) -> Artifact:
    """Write `tables` one after another as the Parquet file `name` of the DIR: only one is in memory at a time.

    Args:
        store: the DIR.
        scratch: as for `commit_table`.
        name: its name in the DIR.
        tables: the rows; each becomes a row group.
        artifact: returns the record of the whole, and is called after the last table; `digest` is filled in.
        schema: schema of the tables.
        notes: texts to keep in the footer beside the record, by key (`shards.reader.read_note`).

    Returns:
        The artifact as committed.

    Raises:
        ShardError: a table does not keep to the schema.
        OSError: as for `commit_table`.
    """
    local, digest = scratch / f"commit-{name.replace('/', '-')}", RowsDigest(schema.names)
    try:
        with pq.ParquetWriter(local, schema.remove_metadata(), compression="zstd") as writer:
            for table in tables:
                conforming = conform(table, schema, name)
                digest.update(conforming)
                writer.write_table(conforming, row_group_size=max(conforming.num_rows, 1))
            record = replace(artifact(), digest=digest.digest())
            writer.add_key_value_metadata({**(notes or {}), FOOTER_KEY: record.to_json()})
        store.commit(local, name)
    finally:
        local.unlink(missing_ok=True)
    return record


@dataclass(frozen=True)
class ShardMedia:
    """The results of the media stage for one shard, before they are committed."""

    shard: int
    """Number of the shard."""
    media: TarWriter
    """Closed writer of the roots."""
    keyframes: TarWriter
    """Closed writer of the keyframes."""
    ledger: pa.Table
    """One row a source (`shards.schema.LEDGER`)."""
    clips: pa.Table
    """One row a clip (`shards.schema.CLIPS`); empty if no source gave a clip."""
    videos: pa.Table | None = None
    """One row a root (`shards.schema.VIDEOS`); None: nothing is known of the videos."""


def commit_shard_media(store: Store, scratch: Path, made: ShardMedia, artifact: Artifact) -> Artifact:
    """Commit one shard of media: tars, ledger, videos, and last the clips, which are the commit mark.

    Args:
        store: the DIR.
        scratch: as for `commit_table`.
        made: the shard; the files of its tars are moved into the DIR.
        artifact: its record; `files` and `digest` are filled in.

    Returns:
        The artifact as committed; its digest covers the clips and the tars.

    Raises:
        ShardError: a table does not keep to its schema; nothing is committed then.
        OSError: as for `commit_table`.
    """
    stem = shard_name(made.shard)
    ledger = conform(made.ledger, LEDGER, f"ledger/{stem}.parquet")
    clips = conform(made.clips, CLIPS, f"media/{stem}.parquet")
    tars = {f"media/{stem}.tar": made.media, f"keyframes/{stem}.tar": made.keyframes}
    facts = {name: writer.fact for name, writer in tars.items()}
    record = replace(artifact, files=facts, digest=media_digest(clips, facts))
    store.delete(f"media/{stem}.parquet")
    for name, writer in tars.items():
        store.commit(writer.path, name)
    commit_table(store, scratch, f"ledger/{stem}.parquet", ledger, artifact)
    if made.videos is not None:
        commit_table(store, scratch, f"videos/{stem}.parquet", made.videos, artifact)
    commit_record(store, scratch, f"media/{stem}.parquet", clips, record)
    return record


def media_digest(clips: pa.Table, files: Mapping[str, FileFact]) -> str:
    """Return sixteen hex digits over a shard's clips and the hashes of its tars, in order of their names."""
    parts = [table_digest(clips), *(files[name].sha256 for name in sorted(files))]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def schema_of(name: str, version: int = SCHEMA_VERSION) -> pa.Schema:
    """Return the schema of the table `name` of a DIR, in a schema version.

    Raises:
        ShardError: the contract has no table of that name.
    """
    schemas = _SCHEMAS_1 if version == 1 else _SCHEMAS
    schema = schemas.get(name.split("/")[0]) if name.endswith(".parquet") else None
    if schema is None:
        raise ShardError(f"{name}: a DIR has no table of this name")
    return schema


def conform(table: pa.Table, schema: pa.Schema, name: str = "table") -> pa.Table:
    """Return `table` with exactly the columns, types and nullability of `schema`.

    Raises:
        ShardError: a column is missing, unknown, of another type, or null where it must not be.
    """
    missing = [column for column in schema.names if column not in table.column_names]
    unknown = [column for column in table.column_names if column not in schema.names]
    if missing or unknown or len(table.column_names) != len(schema.names):
        raise ShardError(f"{name}: columns missing {missing}, unknown {unknown}")
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise ShardError(f"{name}: column {field.name} has nulls and must have none")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, ValueError) as error:
        raise ShardError(f"{name}: {one_line(error)}") from None


def commit_record(
    store: Store, scratch: Path, name: str, table: pa.Table, artifact: Artifact, group_rows: int | None = None
) -> None:
    """Write a finished table with its finished record as the file `name` of the DIR; raises as `commit_table`."""
    local = scratch / f"commit-{name.replace('/', '-')}"
    try:
        recorded = table.replace_schema_metadata({FOOTER_KEY: artifact.to_json()})
        pq.write_table(recorded, local, compression="zstd", row_group_size=group_rows)
        store.commit(local, name)
    finally:
        local.unlink(missing_ok=True)
