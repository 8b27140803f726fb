"""The tables of a stage over all shards: the tables of every shard that it reads, and the one table that it commits."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from curation.stages.stage_result import stage_result
from runtime.ray_runner.stage import ShardResult
from shards.artifact import Artifact
from shards.keys import shard_name
from shards.reader import in_threads, map_ahead, read_artifact, read_table
from shards.storage.store import Store
from shards.writer import commit_tables

_THREADS: Final = 4
"""Tables that are read ahead, for stores that answer late."""


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
        """Yield the table of each shard, in order, read a few ahead; `columns` are those to read, None for all."""
        return map_ahead(partial(self._table, columns=columns), shards, _THREADS)

    def digests(self, shards: Sequence[int]) -> dict[str, str]:
        """Return the digest of each shard's table by its final name, as `WholeTable.commit` records them."""
        return dict(in_threads(self._digest, shards))

    def _table(self, shard: int, columns: Sequence[str] | None) -> pa.Table:
        return read_table(self.store, f"{self.folder}/{shard_name(shard)}.parquet", columns)

    def _digest(self, shard: int) -> tuple[str, str]:
        name = f"{shard_name(shard)}.parquet"
        return f"{self.final_folder}/{name}", read_artifact(self.store, f"{self.folder}/{name}").digest


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
        self.commit_tables([pa.Table.from_pylist(list(rows), schema=self.schema)], inputs, counts)

    def commit_tables(self, tables: Iterable[pa.Table], inputs: Mapping[str, str], counts: Mapping[str, float]) -> None:
        """Write tables one after another as row groups, and commit the whole; arguments otherwise as of `commit`.

        `counts` is read after the last table.
        """
        scratch = Path(self.scratch)
        scratch.mkdir(parents=True, exist_ok=True)

        def artifact() -> Artifact:
            return Artifact(self.stage, self.hash, inputs=inputs, counts=dict(counts))

        commit_tables(self.store, scratch, self.name, tables, artifact, self.schema)

    async def result(self, work: Awaitable[Mapping[str, float]]) -> ShardResult:
        """Await the work on the table; see `curation.stages.stage_result.stage_result`."""
        return await stage_result(self.stage, work)
