"""The tables of a stage over all shards: the tables of every shard that it reads, and the one table that it commits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from shards.artifact import Artifact
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.storage.store import Store
from shards.writer import commit_table


@dataclass(frozen=True)
class InputTables:
    """The tables of one stage that a stage over all shards reads."""

    root: str
    """Path or URL of the DIR."""
    folder: str
    """Folder in the DIR that holds them now."""
    final_folder: str
    """Folder that will hold them after the run; it differs while a layer is being replaced."""

    @cached_property
    def store(self) -> Store:
        """The DIR."""
        return Store(self.root)

    def tables(self, shards: Sequence[int], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the table of each shard, one after another; `columns` are those to read, None for all."""
        return (read_table(self.store, f"{self.folder}/{shard_name(shard)}.parquet", columns) for shard in shards)

    def digests(self, shards: Sequence[int]) -> dict[str, str]:
        """Return the digest of each shard's table by its final name, as `WholeTable.commit` records them."""
        names = [f"{shard_name(shard)}.parquet" for shard in shards]
        return {
            f"{self.final_folder}/{name}": read_artifact(self.store, f"{self.folder}/{name}").digest for name in names
        }


@dataclass(frozen=True)
class WholeTable:
    """One table of a DIR that a stage makes from tables of all shards."""

    stage: str
    root: str
    """Path or URL of the DIR."""
    name: str
    """Name in the DIR: ``selections/<name>.parquet``."""
    scratch: str
    """Folder on a local disk for the table while it is written."""
    hash: str
    """Content hash of the settings."""
    schema: pa.Schema

    @cached_property
    def store(self) -> Store:
        """The DIR."""
        return Store(self.root)

    def commit(
        self, rows: Sequence[Mapping[str, object]], inputs: Mapping[str, str], counts: Mapping[str, float]
    ) -> None:
        """Write and commit the table.

        Args:
            rows: one mapping for each row, with the columns of `schema`.
            inputs: digest of each artifact that the table is made from, by name.
            counts: figures to keep with the table.
        """
        scratch = Path(self.scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(list(rows), schema=self.schema)
        artifact = Artifact(self.stage, self.hash, inputs=inputs, counts=counts)
        commit_table(self.store, scratch, self.name, table, artifact, self.schema)
