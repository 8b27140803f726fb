"""Reads visual features of curated DIRs: the rows of any time span of a root.

`training.features.features_stage` writes them: ``features/<name>/<shard>.npy`` has all rows of a shard, and the table
beside it the rows of each root. In a folder the arrays are memory-mapped, in an object store read by byte ranges.

Shapes: N rows of a span, D features.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UserError, nearest
from runtime.settings import content_hash
from shards.errors import ShardError
from shards.keys import shard_name
from shards.manifest import MANIFEST, StageMark, read_manifest, read_stage
from shards.reader import feature_sets, read_table, shards_in
from shards.storage.store import Store

_SHARDS_HELD = 64
_HEADER_BYTES = 4096  # more than the header of any .npy file that `FeatureWriter` writes
_ROUNDING = 1e-4  # seconds; times are float32


@dataclass(frozen=True)
class RootRows:
    """The position of a root's features in the array of its shard."""

    first: int
    """First row in the shard's array."""
    times_N: NDArray[np.float32]
    """Seconds from the root's first frame, increasing; empty if the root failed."""


@dataclass(frozen=True)
class FeatureSetRecord:
    """The record of a feature set in one DIR: its encoder, and the hash of its settings."""

    encoder: str
    """The extraction's setting `encoder`."""
    width: int
    """D."""
    encoder_identity: str
    """Hash over the encoder and its weights."""
    content_hash: str

    @classmethod
    def of(cls, mark: StageMark) -> Self | None:
        """Read a stage's record; return None if it is not that of a feature set."""
        made = mark.settings
        if not {"encoder", "width", "encoder_identity"} <= set(made):
            return None
        return cls(made["encoder"], made["width"], made["encoder_identity"], mark.content_hash)

    def fits(self, other: FeatureSetRecord) -> bool:
        """Return True if both sets have the same encoder and width; the encoder's name may differ."""
        return (self.width, self.encoder_identity) == (other.width, other.encoder_identity)


class FeatureStore:
    """One set of visual features over several DIRs; can be pickled into worker processes."""

    def __init__(
        self, dirs: Sequence[str], name: str, records: Sequence[FeatureSetRecord], shards: Sequence[list[int]]
    ) -> None:
        """Use `open`."""
        self.name = name
        self.encoder: str = records[0].encoder
        """The extraction's setting `encoder`."""
        self.width: int = records[0].width
        """D."""
        self._dirs, self._records, self._shards = list(dirs), list(records), [list(numbers) for numbers in shards]
        self._stores = {directory: Store(directory) for directory in dirs}
        self._shards_of = dict(zip(dirs, map(frozenset, shards), strict=True))
        self._loaded = lru_cache(maxsize=_SHARDS_HELD)(self._load)

    @classmethod
    def open(cls, dirs: Sequence[str], name: str) -> FeatureStore:
        """Open the set `name` of each of `dirs`.

        Raises:
            UserError: a DIR has no such set (the message lists its sets), the sets have different encoders or widths,
                or no shard has features.
            ShardError: not a DIR, or a damaged record.
        """
        records = [_record(directory, name) for directory in dirs]
        first = records[0]
        for directory, record in zip(dirs, records, strict=True):
            if not record.fits(first):
                raise UserError(
                    f"features {name!r}: {directory} has {record.encoder} ({record.width} wide, "
                    f"{record.encoder_identity}), {dirs[0]} has {first.encoder} ({first.width} wide, "
                    f"{first.encoder_identity}); extract both with the same settings, or train on one"
                )
        shards = [shards_in(Store(directory).list(f"features/{name}")) for directory in dirs]
        if not any(shards):
            raise UserError(
                f"features {name!r}: no shard of {', '.join(dirs)} has any; run `train-vidlankd features` to its end"
            )
        return cls(dirs, name, records, shards)

    @staticmethod
    def feature_sets(directory: str) -> list[str]:
        """Return the names of a DIR's feature sets, sorted."""
        return feature_sets(Store(directory))

    @property
    def identity(self) -> str:
        """Hash over the encoder with its weights, the settings, and the shards with features; not over paths."""
        return content_hash(self.width, [record.content_hash for record in self._records], self._shards)

    def holds_rows(self) -> bool:
        """Return True if any root has features; tables are read up to the first such root.

        Raises:
            ShardError: features are damaged.
        """
        shards = (
            (directory, shard) for directory, numbers in zip(self._dirs, self._shards, strict=True) for shard in numbers
        )
        return any(len(root.times_N) for shard in shards for root in self._loaded(*shard).roots.values())

    def has(self, directory: str, shard: int) -> bool:
        """Return True if the features of a shard were committed."""
        return shard in self._shards_of[directory]

    def seconds(self, directory: str, shard: int, root_key: str) -> NDArray[np.float32] | None:
        """Return the times of all rows of a root, seconds from its first frame; None if it has no features.

        Raises:
            ShardError: the shard's features are damaged.
        """
        root = self._root(directory, shard, root_key)
        return None if root is None else root.times_N

    def read(
        self, directory: str, shard: int, root_key: str, start: float, end: float, limit: int
    ) -> NDArray[np.float16] | None:
        """Return the rows with times within a span; if there are none, the row nearest to the middle of the span.

        Args:
            directory: one of the opened DIRs, with the same name.
            shard: number of the shard in that DIR.
            root_key: key of the root.
            start: seconds from the root's first frame.
            end: seconds from the root's first frame.
            limit: largest number of rows, 1 or more; of more rows, evenly spaced ones are returned.

        Returns:
            [N, D], 1 <= N <= `limit`; None if the root has no features.

        Raises:
            ShardError: the shard's features are damaged.
        """
        root = self._root(directory, shard, root_key)
        if root is None:
            return None
        rows_N = root.first + rows_of_span(root.times_N, start, end, limit)
        return self._loaded(directory, shard).rows(rows_N)

    def _root(self, directory: str, shard: int, root_key: str) -> RootRows | None:
        root = self._loaded(directory, shard).roots.get(root_key) if self.has(directory, shard) else None
        return root if root is not None and len(root.times_N) else None

    def _load(self, directory: str, shard: int) -> _ShardFeatures:
        return _ShardFeatures.open(self._stores[directory], f"features/{self.name}/{shard_name(shard)}", self.width)

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Any, ...]]:
        return FeatureStore, (self._dirs, self.name, self._records, self._shards)


def rows_of_span(times_N: NDArray[np.float32], start: float, end: float, limit: int) -> NDArray[np.int64]:
    """Return the numbers of at most `limit` evenly spaced rows with times in [start, end); at least the nearest row.

    Args:
        times_N: seconds, increasing; at least one.
        start: seconds.
        end: seconds.
        limit: 1 or more.
    """
    first, after = np.searchsorted(times_N, [start - _ROUNDING, end - _ROUNDING])
    if first >= after:
        return np.array([np.abs(times_N - (start + end) / 2).argmin()])
    count = min(int(after - first), limit)
    return (first + ((np.arange(count) + 0.5) * ((after - first) / count)).astype(np.int64)).astype(np.int64)


@dataclass(frozen=True)
class _ShardFeatures:
    """The features of one shard."""

    roots: Mapping[str, RootRows]
    store: Store
    npy: str
    mapped: NDArray[np.float16] | None
    """The whole array on disk, if the DIR is a folder."""
    offset: int
    """First byte of the rows, if the DIR is in an object store."""
    width: int

    @classmethod
    def open(cls, store: Store, stem: str, width: int) -> _ShardFeatures:
        """Read a shard's table and the header of its array."""
        table, npy = f"{stem}.parquet", f"{stem}.npy"
        try:
            rows = read_table(store, table).to_pylist()
            mapped = np.load(store.path(npy), mmap_mode="r", allow_pickle=False) if store.is_local else None
            shape, offset = (mapped.shape, 0) if mapped is not None else _read_header(store, npy)
        except FileNotFoundError:
            raise ShardError(f"{store.path(stem)}: its features are gone; extract them again") from None
        except ValueError as error:
            raise ShardError(f"{store.path(npy)}: no readable array of features ({error}); extract it again") from None
        held = sum(row["rows"] for row in rows)
        if shape != (held, width) or (mapped is not None and mapped.dtype != np.float16):
            raise ShardError(
                f"{store.path(npy)}: has the shape {shape}, but its table {(held, width)}; extract it again"
            )
        roots = {row["root_key"]: RootRows(row["first"], np.array(row["times"], np.float32)) for row in rows}
        return cls(roots, store, npy, mapped, offset, width)

    def rows(self, rows_N: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return rows in memory; from an object store, the range that contains them is read in one request."""
        if self.mapped is not None:
            return np.array(self.mapped[rows_N])
        first, count, row = int(rows_N[0]), int(rows_N[-1] - rows_N[0]) + 1, 2 * self.width
        data = self.store.read_bytes(self.npy, self.offset + first * row, count * row)
        if len(data) != count * row:
            raise ShardError(f"{self.store.path(self.npy)}: was cut short; extract it again")
        return np.frombuffer(data, np.float16).reshape(count, self.width)[rows_N - first]


def _read_header(store: Store, npy: str) -> tuple[tuple[int, ...], int]:
    """Return the shape of an array in an object store, and the first byte of its values."""
    header = io.BytesIO(store.read_bytes(npy, 0, _HEADER_BYTES))
    version = np.lib.format.read_magic(header)
    if version != (1, 0):
        raise ValueError(f"format version {version}")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(header)
    if is_fortran or dtype != np.float16:
        raise ValueError(f"values of type {dtype}")
    return shape, header.tell()


def _record(directory: str, name: str) -> FeatureSetRecord:
    """Read the record of a DIR's feature set."""
    store = Store(directory)
    if read_manifest(store) is None:
        raise ShardError(f"{store.root}: no {MANIFEST}; this is no folder that `curate run` wrote")
    sets = feature_sets(store)
    mark = read_stage(store, f"features/{name}") if name in sets else None
    record = FeatureSetRecord.of(mark) if mark is not None else None
    if record is None:
        known = nearest(name, sets) if sets else f"; make one: train-vidlankd features --shards {directory}"
        raise UserError(f"features {name!r}: {directory} has no such set{known}")
    return record
