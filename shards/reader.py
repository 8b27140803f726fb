"""Reads of committed artifacts: tables, footers, and the list of shards of a DIR.

Existing shards are known by listing. Footers are read, many at once, only if the inputs of an artifact matter; rows are
read only on request.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from shards.artifact import FOOTER_KEY, Artifact
from shards.errors import ShardError, one_line
from shards.keys import SHARD_DIGITS, shard_name
from shards.manifest import StageMark, read_stage
from shards.storage.backend import ObjectInfo
from shards.storage.store import Store

_THREADS = 16
LARGE_TABLE = 1 << 24
"""Bytes; of a table in a store that is as large, no more is read than is asked for."""
A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


def read_table(store: Store, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the Parquet file `name`, or some of its columns, in the schema that it was committed with.

    Raises:
        ShardError: it is not a readable Parquet file, or lacks a column.
        FileNotFoundError: there is no such file.
    """
    with parquet_file(store, name, columns or (), whole=not store.is_local) as file:
        return file.read(columns=None if columns is None else list(columns), use_threads=False)


@contextmanager
def parquet_file(
    store: Store, name: str, columns: Sequence[str] = (), *, whole: bool = False
) -> Iterator[pq.ParquetFile]:
    """Open the Parquet file `name` to read parts of it.

    Args:
        store: the DIR.
        name: of the file.
        columns: columns that it must have.
        whole: fetch the file in one request, a large one by its footer and joined ranges of its columns.

    Raises:
        ShardError: it is not a readable Parquet file, or lacks a column; also while it is read.
        FileNotFoundError: there is no such file.
    """
    try:
        with _fetched(store, name) if whole else store.open(name) as opened:
            file = pq.ParquetFile(opened, pre_buffer=whole)
            unknown = sorted(set(columns) - set(file.schema_arrow.names))
            if unknown:
                there = ", ".join(file.schema_arrow.names)
                raise ShardError(f"{name}: no column {unknown[0]!r} (columns: {there})")
            yield file
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ShardError(f"{name}: not a readable Parquet file ({one_line(error)})") from None
    except FileNotFoundError:  # of some stores it has no number either
        raise
    except IsADirectoryError:
        raise ShardError(f"{name}: not a readable Parquet file (it is a folder)") from None
    except OSError as error:
        if error.errno is not None or not (whole or store.is_local):  # Arrow's own of a bad footer has no number
            raise
        raise ShardError(f"{name}: not a readable Parquet file ({one_line(error)})") from None


def read_artifact(store: Store, name: str) -> Artifact:
    """Read the artifact record in the footer of the table `name`; no row is read.

    Raises:
        ShardError: it is not a readable Parquet file, or carries no artifact record.
        FileNotFoundError: there is no such file.
    """
    metadata: Mapping[bytes, bytes] = _with_parquet(store, name, lambda file: file.metadata.metadata) or {}
    text = metadata.get(FOOTER_KEY.encode())
    if text is None:
        raise ShardError(f"{name}: its footer holds no artifact record; it was not written by this project")
    return Artifact.from_json(text)


def read_note(store: Store, name: str, key: str) -> str | None:
    """Return a note in the footer of the table `name`, as `shards.writer.commit_tables` wrote it; None without it.

    Raises:
        ShardError: it is not a readable Parquet file.
        FileNotFoundError: there is no such file.
    """
    metadata: Mapping[bytes, bytes] = _with_parquet(store, name, lambda file: file.metadata.metadata) or {}
    text = metadata.get(key.encode())
    return None if text is None else text.decode(errors="replace")


def column_names(store: Store, name: str) -> list[str]:
    """Return the names of the columns of the table `name`, from its footer."""
    return list(_with_parquet(store, name, lambda file: file.schema_arrow.names))


def num_rows(store: Store, name: str) -> int:
    """Return the number of rows of the table `name`, from its footer."""
    return int(_with_parquet(store, name, lambda file: file.metadata.num_rows))


def shards_in(listing: Mapping[str, ObjectInfo], suffix: str = ".parquet") -> list[int]:
    """Return the shard numbers of the files named ``<seven digits><suffix>`` in a listing, in order."""
    stems = (name.removesuffix(suffix) for name in listing if name.endswith(suffix))
    return sorted(int(stem) for stem in stems if len(stem) >= SHARD_DIGITS and stem.isdecimal())


def media_shards(store: Store) -> list[int]:
    """Return the shards whose media is committed, by one listing: the table and the tar of roots are there.

    `verify_sizes` checks the sizes of the tars.
    """
    listing = store.list("media")
    return sorted(set(shards_in(listing)) & set(shards_in(listing, ".tar")))


def artifacts(store: Store, folder: str, shards: Iterable[int] | None = None) -> dict[int, Artifact]:
    """Return the artifact records of the shards in `folder` (of all without `shards`), read many at once.

    A shard that is missing, or whose table can't be read, is left out: it counts as not made.
    """
    wanted = shards_in(store.list(folder)) if shards is None else list(shards)
    found = in_threads(lambda shard: _artifact_or_none(store, f"{folder}/{shard_name(shard)}.parquet"), wanted)
    return {shard: artifact for shard, artifact in zip(wanted, found, strict=True) if artifact is not None}


def binding_mark(store: Store, folder: str) -> StageMark | None:
    """Return the settings that `folder` is bound to: the record in it, once an artifact is committed.

    A run that failed before its first commit (no model, no cluster) leaves a record that the next run may replace.

    Raises:
        ShardError: the record is damaged.
    """
    return read_stage(store, folder) if shards_in(store.list(folder)) else None


def verify_sizes(store: Store, media: Mapping[int, Artifact]) -> list[int]:
    """Return those of the media shards whose files are missing or of another size: they are not committed."""
    listings = {folder: store.list(folder) for folder in ("media", "keyframes")}
    sizes = {f"{folder}/{name}": entry.size for folder, listing in listings.items() for name, entry in listing.items()}
    return sorted(
        shard
        for shard, artifact in media.items()
        if any(sizes.get(name) != fact.size for name, fact in artifact.files.items())
    )


def committed_media(store: Store) -> dict[int, Artifact]:
    """Return the artifact records of all media shards that are readable and whose files have the right size."""
    found = artifacts(store, "media", media_shards(store))
    broken = set(verify_sizes(store, found))
    return {shard: artifact for shard, artifact in found.items() if shard not in broken}


def text_layers(store: Store) -> list[str]:
    """Return the names of the text layers of a DIR, sorted."""
    return list(store.folders("text"))


def caption_sets(store: Store) -> list[str]:
    """Return the names of the caption sets of a DIR, sorted."""
    return list(store.folders("captions"))


def feature_sets(store: Store) -> list[str]:
    """Return the names of the sets of visual features of a DIR, sorted."""
    return list(store.folders("features"))


def in_threads(function: Callable[[int], T], shards: Sequence[int], threads: int = _THREADS) -> list[T]:
    """Return `function` of every shard, in order, computed many at a time: for work that waits for disk or network."""
    if len(shards) < 2:
        return [function(shard) for shard in shards]
    with ThreadPoolExecutor(min(threads, len(shards))) as pool:
        return list(pool.map(function, shards))


def map_ahead(function: Callable[[A], B], items: Iterable[A], threads: int = _THREADS) -> Iterator[B]:
    """Yield `function` of every item in order, computed a few items ahead of the reader: memory stays bounded."""
    waiting: deque[Future[B]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _artifact_or_none(store: Store, name: str) -> Artifact | None:
    try:
        return read_artifact(store, name)
    except (FileNotFoundError, ShardError):
        return None


def _with_parquet(store: Store, name: str, action: Callable[[Any], Any], *, whole: bool = False) -> Any:
    """Return `action` of an open table; `whole` fetches the file in one request instead of one a column."""
    with parquet_file(store, name, whole=whole) as file:
        return action(file)


def _fetched(store: Store, name: str) -> BinaryIO:
    data = store.read_bytes(name, 0, LARGE_TABLE)
    return io.BytesIO(data) if len(data) < LARGE_TABLE else store.open(name)
