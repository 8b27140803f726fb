"""Reads visual features of curated DIRs: the rows of any span of a root, by time.

`training.features.features_stage` wrote them: ``features/<name>/<shard>.npy`` holds all rows of a shard, the table beside it
says which are a root's. In a folder the arrays are memory-mapped, in an object store read by byte ranges.

Shapes: N rows of a span, D features.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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
_HEADER_BYTES = 4096  # more than the header of any .npy that is written here
_ROUNDING = 1e-4  # of a second: times are float32


@dataclass(frozen=True)
class RootRows:
    """Where the features of one root lie."""

    first: int
    """Row of the shard's array."""
    times_N: NDArray[np.float32]
    """Seconds from the root's first frame, increasing; none where the root failed."""


class FeatureStore:
    """One set of visual features over several DIRs; can be pickled into worker processes."""

    def __init__(self, dirs: Sequence[str], name: str, marks: Sequence[StageMark], shards: Sequence[list[int]]) -> None:
        """Use `open`."""
        self.name = name
        self.encoder: str = marks[0].settings["encoder"]
        """As the extraction's `encoder` setting had it."""
        self.width: int = marks[0].settings["width"]
        """D."""
        self._dirs, self._marks, self._shards = list(dirs), list(marks), [list(numbers) for numbers in shards]
        self._stores = {directory: Store(directory) for directory in dirs}
        self._root_of = dict(zip(dirs, map(frozenset, shards), strict=True))
        self._loaded = lru_cache(maxsize=_SHARDS_HELD)(self._load)

    @classmethod
    def open(cls, dirs: Sequence[str], name: str) -> FeatureStore:
        """Open the set `name` of each of `dirs`.

        Raises:
            UserError: no such set in a DIR (the message lists those there are), the DIRs' sets are of different
                encoders or widths, or no shard has features.
            ShardError: no DIR, or a damaged record.
        """
        marks = [_mark(directory, name) for directory in dirs]
        for directory, mark in zip(dirs, marks, strict=True):
            found, first = _kind(mark), _kind(marks[0])
            if found[1:] != first[1:]:  # not how the encoder was named
                raise UserError(
                    f"features {name!r}: {directory} has {found[0]} ({found[1]} wide, {found[2]}), {dirs[0]} has "
                    f"{first[0]} ({first[1]} wide, {first[2]}); extract both with the same settings, or train on one"
                )
        shards = [shards_in(Store(directory).list(f"features/{name}")) for directory in dirs]
        if not any(shards):
            raise UserError(
                f"features {name!r}: no shard of {', '.join(dirs)} has any; run `train-vidlankd features` to its end"
            )
        return cls(dirs, name, marks, shards)

    @staticmethod
    def feature_sets(directory: str) -> list[str]:
        """Names of the sets of features of a DIR, sorted."""
        return feature_sets(Store(directory))

    @property
    def identity(self) -> str:
        """Hash over the encoder with its weights, the settings, and which shards have features; not over paths."""
        return content_hash(self.width, [mark.content_hash for mark in self._marks], self._shards)

    def holds_rows(self) -> bool:
        """Whether any root has features; tables are read until one is found.

        Raises:
            ShardError: features are damaged.
        """
        shards = (
            (directory, shard) for directory, numbers in zip(self._dirs, self._shards, strict=True) for shard in numbers
        )
        return any(len(root.times_N) for shard in shards for root in self._loaded(*shard).roots.values())

    def has(self, directory: str, shard: int) -> bool:
        """Whether features of a shard were committed."""
        return shard in self._root_of[directory]

    def seconds(self, directory: str, shard: int, root_key: str) -> NDArray[np.float32] | None:
        """Times of all rows of a root, seconds from its first frame; None where it has none.

        Raises:
            ShardError: the shard's features are damaged.
        """
        root = self._root(directory, shard, root_key)
        return None if root is None else root.times_N

    def read(
        self, directory: str, shard: int, root_key: str, start: float, end: float, limit: int
    ) -> NDArray[np.float16] | None:
        """The rows whose time lies in a span, or the one nearest to its middle where none does.

        Args:
            directory: one of the DIRs it was opened over, by the same name.
            shard: number of the shard in that DIR.
            root_key: of the root.
            start: seconds from the root's first frame.
            end: seconds from the root's first frame.
            limit: rows at most, 1 or more; evenly spaced ones of more.

        Returns:
            [N, D], 1 <= N <= `limit`; None where the root has no features.

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

    def _load(self, directory: str, shard: int) -> _Shard:
        return _Shard.open(self._stores[directory], f"features/{self.name}/{shard_name(shard)}", self.width)

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Any, ...]]:
        return FeatureStore, (self._dirs, self.name, self._marks, self._shards)


def rows_of_span(times_N: NDArray[np.float32], start: float, end: float, limit: int) -> NDArray[np.int64]:
    """Numbers of the rows with times in [start, end), at most `limit`, evenly spaced; at least the nearest one.

    Args:
        times_N: seconds, increasing; one or more.
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
class _Shard:
    """The features of one shard."""

    roots: Mapping[str, RootRows]
    store: Store
    npy: str
    mapped: NDArray[np.float16] | None
    """In a folder: the whole array, on disk."""
    offset: int
    """In an object store: the byte at which rows begin."""
    width: int

    @classmethod
    def open(cls, store: Store, stem: str, width: int) -> _Shard:
        """Read a shard's table and the head of its array."""
        table, npy = f"{stem}.parquet", f"{stem}.npy"
        try:
            rows = read_table(store, table).to_pylist()
            mapped = np.load(store.path(npy), mmap_mode="r", allow_pickle=False) if store.is_local else None
            shape, offset = (mapped.shape, 0) if mapped is not None else _head(store, npy)
        except FileNotFoundError:
            raise ShardError(f"{store.path(stem)}: features that were there are gone; extract them again") from None
        except ValueError as error:
            raise ShardError(f"{store.path(npy)}: no readable array of features ({error}); extract it again") from None
        held = sum(row["rows"] for row in rows)
        if shape != (held, width) or (mapped is not None and mapped.dtype != np.float16):
            raise ShardError(f"{store.path(npy)}: shape {shape} where its table has {(held, width)}; extract it again")
        roots = {row["root_key"]: RootRows(row["first"], np.array(row["times"], np.float32)) for row in rows}
        return cls(roots, store, npy, mapped, offset, width)

    def rows(self, rows_N: NDArray[np.int64]) -> NDArray[np.float16]:
        """These rows, in memory; from an object store the range that holds them in one request."""
        if self.mapped is not None:
            return np.array(self.mapped[rows_N])
        first, count, row = int(rows_N[0]), int(rows_N[-1] - rows_N[0]) + 1, 2 * self.width
        data = self.store.read_bytes(self.npy, self.offset + first * row, count * row)
        if len(data) != count * row:
            raise ShardError(f"{self.store.path(self.npy)}: was cut short; extract it again")
        return np.frombuffer(data, np.float16).reshape(count, self.width)[rows_N - first]


def _head(store: Store, npy: str) -> tuple[tuple[int, ...], int]:
    """Shape of an array in an object store, and the byte at which its values begin."""
    head = io.BytesIO(store.read_bytes(npy, 0, _HEADER_BYTES))
    version = np.lib.format.read_magic(head)
    if version != (1, 0):
        raise ValueError(f"format version {version}")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(head)
    if is_fortran or dtype != np.float16:
        raise ValueError(f"values of type {dtype}")
    return shape, head.tell()


def _mark(directory: str, name: str) -> StageMark:
    """What a DIR's set was made with."""
    store = Store(directory)
    if read_manifest(store) is None:
        raise ShardError(f"{store.root}: no {MANIFEST}; this is no folder that `curate run` wrote")
    sets = feature_sets(store)
    mark = read_stage(store, f"features/{name}") if name in sets else None
    if mark is None or not {"encoder", "width", "encoder_identity"} <= set(mark.settings):
        known = nearest(name, sets) if sets else f"; make one: train-vidlankd features --shards {directory}"
        raise UserError(f"features {name!r}: {directory} has no such set{known}")
    return mark


def _kind(mark: StageMark) -> tuple[str, int, str]:
    """Encoder, width and what identifies the encoder with its weights."""
    return mark.settings["encoder"], mark.settings["width"], mark.settings["encoder_identity"]
