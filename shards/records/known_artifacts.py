"""The records of artifacts as a run sees them: from one table where the listing is still as it was, else from footers.

``.artifacts.parquet`` holds the record of every artifact with the size and the token that the listing of its folder
had. It is a cache: an artifact whose listing differs is read anew, and a table that is deleted or damaged is made anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from shards.artifact import Artifact
from shards.errors import ShardError
from shards.keys import SHARD_DIGITS, shard_name
from shards.reader import in_threads, read_artifact, read_table
from shards.storage.backend import ObjectInfo
from shards.storage.store import Store
from shards.writer import commit_table

KNOWN_TABLE: Final = ".artifacts.parquet"
"""Name of the cache in a DIR; listings leave it out."""
_SCHEMA: Final = pa.schema(
    [
        pa.field("folder", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),  # bytes of the table
        pa.field("token", pa.string(), nullable=False),  # see shards.storage.backend.ObjectInfo
        pa.field("record", pa.string(), nullable=False),  # JSON, see shards.artifact.Artifact
    ]
)


class _Known(NamedTuple):
    """The record of an artifact, and its listing at the time when it was read."""

    size: int
    token: str
    record: str


class KnownArtifacts:
    """The artifacts of a DIR; each folder is listed once, when it is first asked for."""

    def __init__(self, store: Store) -> None:
        """Name a DIR; nothing is read yet."""
        self._store = store
        self._listings: dict[str, Mapping[str, ObjectInfo]] = {}
        self._known: dict[str, dict[int, _Known]] = {}
        self._artifacts: dict[str, dict[int, Artifact]] = {}

    def of(self, folder: str) -> dict[int, Artifact]:
        """Return the artifacts of the shards in a folder; those that are missing or can't be read are left out."""
        if folder not in self._artifacts:
            self._known[folder] = known = self._look_up(folder)
            self._artifacts[folder] = {shard: Artifact.from_json(one.record) for shard, one in known.items()}
        return self._artifacts[folder]

    def media(self) -> dict[int, Artifact]:
        """Return the artifacts of the media shards whose files are there and have the right size."""
        sizes = {
            f"{folder}/{name}": info.size
            for folder in ("media", "keyframes")
            for name, info in self._listing(folder).items()
        }
        return {
            shard: artifact
            for shard, artifact in self.of("media").items()
            if f"media/{shard_name(shard)}.tar" in sizes
            and all(sizes.get(name) == fact.size for name, fact in artifact.files.items())
        }

    def save(self) -> None:
        """Write the records of all folders that were asked for, beside those of others, if one has changed."""
        if all(self._known[folder] == self._kept.get(folder, {}) for folder in self._known) and self._is_kept:
            return
        tables = [_table(folder, known) for folder, known in sorted((self._kept | self._known).items())]
        table = pa.concat_tables([_SCHEMA.empty_table(), *tables])
        with tempfile.TemporaryDirectory(prefix="artifacts-") as scratch:
            commit_table(self._store, Path(scratch), KNOWN_TABLE, table, Artifact("artifacts", ""), _SCHEMA)

    @property
    def _is_kept(self) -> bool:
        return self._store.exists(KNOWN_TABLE)

    @cached_property
    def _kept(self) -> dict[str, dict[int, _Known]]:
        """The records of the cache by folder and shard; none if it is missing or damaged."""
        try:
            table = read_table(self._store, KNOWN_TABLE, _SCHEMA.names).cast(_SCHEMA)
        except (FileNotFoundError, ShardError, pa.ArrowException, ValueError):
            return {}
        kept: dict[str, dict[int, _Known]] = {}
        for folder in pc.unique(table["folder"]).to_pylist():
            shards, *values = table.filter(pc.equal(table["folder"], folder)).columns[1:]
            known = map(_Known._make, zip(*(column.to_pylist() for column in values), strict=True))
            kept[folder] = dict(zip(shards.to_pylist(), known, strict=True))
        return kept

    def _listing(self, folder: str) -> Mapping[str, ObjectInfo]:
        if folder not in self._listings:
            self._listings[folder] = self._store.list(folder)
        return self._listings[folder]

    def _look_up(self, folder: str) -> dict[int, _Known]:
        """Return the records of a folder, in order of shards; footers are read only of those that have changed."""
        kept, known, changed = self._kept.get(folder, {}), dict[int, _Known](), dict[int, ObjectInfo]()
        for name, info in self._listing(folder).items():
            stem = name.removesuffix(".parquet")
            if stem == name or len(stem) < SHARD_DIGITS or not stem.isdecimal():
                continue
            one = kept.get(int(stem))
            if one is not None and (one.size, one.token) == (info.size, info.token):
                known[int(stem)] = one
            else:
                changed[int(stem)] = info
        found = in_threads(lambda shard: _record(self._store, f"{folder}/{shard_name(shard)}.parquet"), list(changed))
        for (shard, info), record in zip(changed.items(), found, strict=True):
            if record is not None:
                known[shard] = _Known(info.size, info.token, record)
        return dict(sorted(known.items()))


def _table(folder: str, known: Mapping[int, _Known]) -> pa.Table:
    columns = [[getattr(one, name) for one in known.values()] for name in _Known._fields]
    return pa.table([[folder] * len(known), list(known), *columns], schema=_SCHEMA)


def _record(store: Store, name: str) -> str | None:
    try:
        return read_artifact(store, name).to_json()
    except (FileNotFoundError, ShardError):
        return None
