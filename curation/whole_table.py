"""The table that a stage over all shards makes: its content hash, its inputs, and how it is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from shards.artifact import Artifact
from shards.storage.store import Store
from shards.writer import commit_table


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
