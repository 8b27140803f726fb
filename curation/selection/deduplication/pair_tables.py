"""The pairs of duplicates that were found so far, ``duplicates/.<name>/<kind>.parquet``, so that none is made again.

The record in a table's footer names every artifact that was compared, with its digest: a later run compares only what
is new with everything. If anything that was compared has changed or is gone, everything is compared again: of a large
group only the pairs with its best member are stored, so that nothing would link the others if it went.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.selection.deduplication.dedup_settings import FOLDER
from runtime.settings import content_hash
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.reader import read_artifact, read_table
from shards.storage.store import Store
from shards.writer import commit_table

PAIRS: Final = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),  # of the media table
        pa.field("other_shard", pa.int32(), nullable=False),
        pa.field("other_row", pa.int32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("start", pa.float32()),  # what is shared, in seconds from the root's start; null: all of it
        pa.field("end", pa.float32()),
        pa.field("other_start", pa.float32()),
        pa.field("other_end", pa.float32()),
    ]
)


@dataclass(frozen=True)
class PairTable:
    """The stored pairs of one kind."""

    store: Store
    name: str
    """Name of the table of duplicates."""
    kind: str
    hash: str
    """Content hash of the settings that decide the pairs."""

    @property
    def folder(self) -> str:
        """Folder of the pairs and of work in progress; its name begins with a dot, so that listings leave it out."""
        return f"{FOLDER}/.{self.name}"

    @property
    def file(self) -> str:
        """Name of the table in the DIR."""
        return f"{self.folder}/{self.kind}.parquet"

    def plan(self, digests: Mapping[int, Mapping[str, str]]) -> PairPlan:
        """Return what is to be compared.

        Args:
            digests: for each shard, the digest of each artifact that is compared, by name.
        """
        artifact, pairs = self._stored()
        now = {name: digest for own in digests.values() for name, digest in own.items()}
        is_valid = artifact.inputs.items() <= now.items()
        kept = {shard for shard, own in digests.items() if is_valid and own and own.items() <= artifact.inputs.items()}
        state = [self.hash, sorted(kept), {str(shard): dict(own) for shard, own in digests.items()}]
        work = f"{self.folder}/{self.kind}-{content_hash(state)}"
        return PairPlan(tuple(sorted(digests)), frozenset(kept), pairs if is_valid else PAIRS.empty_table(), work)

    def commit(self, scratch: Path, pairs: pa.Table, digests: Mapping[int, Mapping[str, str]]) -> None:
        """Write all pairs, and the record of what has been compared."""
        inputs = {name: digest for own in digests.values() for name, digest in own.items()}
        artifact = Artifact("dedup", self.hash, inputs=inputs, counts={"pairs": pairs.num_rows})
        commit_table(self.store, scratch, self.file, pairs, artifact, PAIRS)

    def pairs(self) -> pa.Table:
        """Return the stored pairs (`PAIRS`); none if there are none yet."""
        return self._stored()[1]

    def _stored(self) -> tuple[Artifact, pa.Table]:
        """Return record and pairs of a run before with the same settings; nothing if none is whole."""
        nothing = Artifact("dedup", self.hash), PAIRS.empty_table()
        try:
            artifact = read_artifact(self.store, self.file)
            return (artifact, read_table(self.store, self.file)) if artifact.content_hash == self.hash else nothing
        except (FileNotFoundError, ShardError):
            return nothing


@dataclass(frozen=True)
class PairPlan:
    """The comparisons of one run."""

    shards: tuple[int, ...]
    """All shards, in order."""
    compared: frozenset[int]
    """Shards that have been compared with each other before."""
    pairs: pa.Table
    """The pairs of before that still hold."""
    work: str
    """Folder in the DIR for work in progress; a killed run with the same plan goes on there."""

    @property
    def is_done(self) -> bool:
        """True if nothing is new."""
        return self.compared.issuperset(self.shards)

    def is_new(self, shard: int) -> bool:
        """Return True if a shard has not been compared yet."""
        return shard not in self.compared


def pair_rows(
    first: tuple[NDArray[np.int64], NDArray[np.int64]],
    second: tuple[NDArray[np.int64], NDArray[np.int64]],
    score: NDArray[np.float32],
    spans: Sequence[NDArray[np.float32]] | None = None,
) -> pa.Table:
    """Return pairs as rows of `PAIRS`.

    Args:
        first: shards and rows of the one.
        second: shards and rows of the other.
        score: of each pair.
        spans: start and end in the one, start and end in the other; None: all of both.
    """
    empty = pa.nulls(len(score), pa.float32())
    times = [empty] * 4 if spans is None else [pa.array(column, pa.float32()) for column in spans]
    whole = [pa.array(column.astype(np.int32), pa.int32()) for column in (*first, *second)]
    return pa.Table.from_arrays([*whole, pa.array(score, pa.float32()), *times], schema=PAIRS)


def sweep_work(store: Store, folder: str, keep: Sequence[str]) -> None:
    """Remove work in progress of other plans."""
    kept = {PurePosixPath(name).name for name in keep}
    for name in store.folders(folder):
        if name not in kept:
            store.delete_folder(f"{folder}/{name}")
