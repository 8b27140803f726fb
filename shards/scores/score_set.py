"""A score set of a DIR, open for reading: names of its columns and vectors, tables, and memory-mapped vectors."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shards.artifact import Artifact
from shards.errors import ShardError, one_line
from shards.keys import shard_name
from shards.manifest import read_stage
from shards.reader import artifacts, column_names, read_artifact, read_table, shards_in
from shards.schema import SCORES
from shards.scores.score_writer import vector_file
from shards.storage.store import Store

FOLDER: Final = "scores"
INDEX_FOLDER: Final = "index"
"""Folder in a score set with indexes over its vectors; nothing but searches reads it."""
STAGE: Final = "score"
"""Stage in the artifact record of a table of scores."""


def score_sets(store: Store) -> list[str]:
    """Return the names of the score sets of a DIR, sorted."""
    return list(store.folders(FOLDER))


@dataclass(frozen=True)
class VectorFact:
    """The facts about the vectors of one column."""

    width: int
    """Numbers in one vector (D)."""
    model: str | None
    """URI of the model that made them, as the settings name it."""
    revision: str | None
    """Revision of that model."""


@dataclass(frozen=True)
class ScoreSet:
    """One score set of a DIR; can be pickled into worker processes."""

    store: Store
    name: str
    content_hash: str
    """Hash of the settings that all its tables were made with."""
    shards: tuple[int, ...]
    """Shards that have a table, in order."""
    columns: tuple[str, ...]
    """Names of the scores; `key` and `shard` are not among them."""
    vectors: Mapping[str, VectorFact]
    """Facts about its vectors, by column."""

    @classmethod
    def open(cls, store: Store, name: str) -> ScoreSet:
        """Open a score set; no row is read.

        Raises:
            ShardError: there is no such set, or a record in it is unreadable.
        """
        folder = f"{FOLDER}/{name}"
        mark = read_stage(store, folder) if name in score_sets(store) else None
        if mark is None:
            there_are = ", ".join(score_sets(store)) or "none yet"
            raise ShardError(f"{store.root}: has no score set {name!r} (there are: {there_are})")
        shards = tuple(shards_in(store.list(folder)))
        if not shards:
            return cls(store, name, mark.content_hash, (), (), {})
        first = f"{folder}/{shard_name(shards[0])}.parquet"
        columns = tuple(column for column in column_names(store, first) if column not in SCORES.names)
        models: Mapping[str, str] = dict(mark.settings.get("vectors") or {})
        facts = {}
        for file in sorted(read_artifact(store, first).files):
            column = PurePosixPath(file).name.split(".", 1)[1].removesuffix(".npy")
            uri = models.get(column)
            width = vector_shape(store, vector_file(folder, shards[0], column))[1]
            facts[column] = VectorFact(width, uri, None if uri is None else mark.models.get(uri))
        return cls(store, name, mark.content_hash, shards, columns, facts)

    @property
    def folder(self) -> str:
        """Its folder in the DIR."""
        return f"{FOLDER}/{self.name}"

    def table(self, shard: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return `key`, `shard` and the given columns (None: all) of the clips of a shard, in the media's order.

        Raises:
            ShardError: the table is unreadable, lacks a column, or was made with other settings than the set's.
            FileNotFoundError: the shard has no scores.
        """
        name = f"{self.folder}/{shard_name(shard)}.parquet"
        self._check(name, read_artifact(self.store, name))
        wanted = None if columns is None else [*SCORES.names, *(each for each in columns if each not in SCORES.names)]
        return read_table(self.store, name, wanted)

    def vector(self, shard: int, column: str) -> NDArray[np.float16]:
        """Return the vectors of a column, float16 [rows of the table, D]; a row of NaN for a clip that has none.

        They are memory-mapped if the DIR is a folder, otherwise read.

        Raises:
            ShardError: the set has no such vectors, or the file is not that of the table.
            FileNotFoundError: the shard has no scores.
        """
        if self.vectors and column not in self.vectors:
            raise ShardError(f"{self.folder}: no vectors {column!r} (there are: {', '.join(self.vectors)})")
        table = f"{self.folder}/{shard_name(shard)}.parquet"
        artifact = read_artifact(self.store, table)
        self._check(table, artifact)
        name = vector_file(self.folder, shard, column)
        fact = artifact.files.get(name)
        if fact is None:
            raise ShardError(f"{table}: names no vectors {column!r}")
        if self.store.entry(name).size != fact.size:
            raise ShardError(f"{name}: is not the file that its table names; {self._remedy}")
        return _opened(self.store, name)

    def files(self) -> list[str]:
        """Return the paths of all its tables, for DuckDB.

        Raises:
            ShardError: one of them was made with other settings than the set's.
        """
        for shard, artifact in artifacts(self.store, self.folder, self.shards).items():
            self._check(f"{self.folder}/{shard_name(shard)}.parquet", artifact)
        return [self.store.path(f"{self.folder}/{shard_name(shard)}.parquet") for shard in self.shards]

    def _check(self, name: str, artifact: Artifact) -> None:
        if artifact.stage != STAGE:
            raise ShardError(f"{name}: is a table of the stage {artifact.stage}, and holds no scores; remove it")
        if artifact.content_hash != self.content_hash:
            raise ShardError(
                f"{name}: was made with other settings ({artifact.content_hash}) than its set ({self.content_hash}); "
                f"{self._remedy}"
            )

    @property
    def _remedy(self) -> str:
        return f"make it again with `curate run PIPELINE --output {self.store.root} --stages {STAGE}`"


def vector_shape(store: Store, name: str) -> tuple[int, int]:
    """Return rows and width of the vectors in a file, from its header.

    Raises:
        ShardError: it is no array of float16 in C order with two dimensions.
        FileNotFoundError: there is no such file.
    """
    with store.open(name) as file:
        return _header(file, name)


def _header(file: Any, name: str) -> tuple[int, int]:
    try:
        np.lib.format.read_magic(file)
        shape, by_columns, kind = np.lib.format.read_array_header_1_0(file)
    except ValueError as error:
        raise ShardError(f"{name}: not a readable array ({one_line(error)})") from None
    if kind != np.float16 or by_columns or len(shape) != 2:
        raise ShardError(f"{name}: an array of {kind} of shape {shape}, not of float16 with rows and columns")
    return int(shape[0]), int(shape[1])


def _opened(store: Store, name: str) -> NDArray[np.float16]:
    if store.is_local:
        with store.open(name) as file:
            shape = _header(file, name)
            offset = file.tell()
        if not shape[0] * shape[1]:
            return np.empty(shape, np.float16)
        return np.memmap(store.path(name), np.float16, "r", offset, shape)
    with io.BytesIO(store.read_bytes(name)) as data:
        shape = _header(data, name)
        return np.frombuffer(data.getbuffer()[data.tell() :], np.float16).reshape(shape).copy()
