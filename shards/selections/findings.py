"""Findings: tables over all shards of clips that a selection may leave out.

``duplicates/<name>.parquet`` has the groups of clips that show the same, ``contamination/<name>.parquet`` the clips
that match an item of a benchmark. `shards.schema` has their columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal, get_args

import pyarrow as pa

from shards.errors import ShardError
from shards.reader import read_artifact, read_table
from shards.storage.store import Store
from shards.writer import schema_of

FindingKind = Literal["duplicates", "contamination"]
FINDING_KINDS: Final[tuple[FindingKind, ...]] = get_args(FindingKind)
"""The kinds of findings; each is the folder of its tables."""


def finding_names(store: Store, kind: FindingKind) -> list[str]:
    """Return the names of the tables of findings of a DIR, sorted."""
    return sorted(PurePosixPath(name).stem for name in store.list(kind) if name.endswith(".parquet"))


@dataclass(frozen=True)
class Findings:
    """One table of findings of a DIR."""

    store: Store
    kind: FindingKind
    name: str
    digest: str
    """Digest of its rows."""
    inputs: Mapping[str, str]
    """The artifacts that it was made from, by name, with their digests at that time."""

    @classmethod
    def open(cls, store: Store, kind: FindingKind, name: str) -> Findings:
        """Open a table of findings; no row is read.

        Raises:
            ShardError: there is no such table (the message lists those that exist), or it is unreadable.
        """
        try:
            artifact = read_artifact(store, f"{kind}/{name}.parquet")
        except FileNotFoundError:
            there_are = ", ".join(finding_names(store, kind)) or "none yet"
            raise ShardError(f"{store.root}: has no {kind}/{name}.parquet (there are: {there_are})") from None
        return cls(store, kind, name, artifact.digest, artifact.inputs)

    @property
    def file(self) -> str:
        """Name of its table in the DIR."""
        return f"{self.kind}/{self.name}.parquet"

    @property
    def shards(self) -> frozenset[int]:
        """Shards whose clips were looked at: those of the tables that it was made from."""
        stems = (PurePosixPath(name).stem for name in self.inputs)
        return frozenset(int(stem) for stem in stems if stem.isdecimal())

    def rows(self) -> pa.Table:
        """Return its rows (`shards.schema.DUPLICATES` or `CONTAMINATION`).

        Raises:
            ShardError: its table is unreadable, or lacks a column.
        """
        return read_table(self.store, self.file, schema_of(self.file).names)
