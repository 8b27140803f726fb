"""The table that a stage makes for each shard: its folder, its content hash, and how it is committed.

The caption stage and the rewrite stage (`curation.text.rewrite_stage`) use it. Both read and write tables in a thread,
so that a worker with several shards in flight keeps its engine busy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from curation.stages.stage_result import stage_result
from runtime.ray_runner.stage import ShardResult
from shards.keys import shard_name
from shards.storage.store import Store
from shards.writer import Artifact, commit_table, schema_of


@dataclass(frozen=True)
class ShardTable:
    """A folder of a DIR that one stage fills with one table a shard."""

    stage: str
    root: str
    """Path or URL of the DIR."""
    folder: str
    """Folder in the DIR: ``captions/<name>`` or ``text/<layer>``."""
    scratch: str
    """Folder on a local disk for a table while it is written."""
    hash: str
    """Content hash of `folder`."""
    schema: pa.Schema | None = None
    """Schema of the tables; None: the one that `shards.writer.schema_of` names for the folder."""
    final_folder: str | None = None
    """The folder that `folder` will replace when it is complete; None: it replaces none."""

    @cached_property
    def store(self) -> Store:
        """The DIR."""
        return Store(self.root)

    def name(self, shard: int) -> str:
        """Return the name of a shard's table in the DIR."""
        return f"{self.folder}/{shard_name(shard)}.parquet"

    def commit(
        self,
        shard: int,
        rows: Sequence[Mapping[str, object]],
        inputs: Mapping[str, str],
        counts: Mapping[str, float],
    ) -> None:
        """Write and commit the table of a shard.

        Args:
            shard: number of the shard.
            rows: one mapping for each row, with the columns of the folder's schema.
            inputs: digest of each artifact that the table is made from, by name.
            counts: figures to keep with the table.
        """
        name, scratch = self.name(shard), Path(self.scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        schema = schema_of(name) if self.schema is None else self.schema
        table = pa.Table.from_pylist(list(rows), schema=schema)
        artifact = Artifact(self.stage, self.hash, inputs=inputs, counts=counts)
        commit_table(self.store, scratch, name, table, artifact, schema)

    async def result(self, shard: int, work: Awaitable[Mapping[str, float]]) -> ShardResult:
        """Await `work` on a shard; see `curation.stages.stage_result.stage_result`."""
        return await stage_result(f"{self.stage} {shard_name(shard)}", work)
