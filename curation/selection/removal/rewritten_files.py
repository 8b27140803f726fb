"""Tars and arrays without the members and rows of removed videos: written anew, never patched.

Each function may be repeated: a file that holds nothing of the videos any more is left as it is.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.artifact import FileFact
from shards.errors import ShardError
from shards.removal.traces import ID_LENGTH
from shards.storage.files import file_sha256
from shards.storage.store import Store
from shards.storage.tar import ByteSpan, TarWriter, members, read_span


@dataclass(frozen=True)
class RewrittenTar:
    """A tar without removed videos."""

    fact: FileFact
    members: Mapping[str, ByteSpan]
    """The members that are left, by name."""


def tar_without(store: Store, name: str, ids: Collection[str], scratch: Path) -> RewrittenTar:
    """Write a tar anew without the members of videos, and return its size, hash and members.

    Raises:
        ShardError: the tar is damaged.
    """
    present = list(members(store, name))
    kept = [member for member in present if member.name[:ID_LENGTH] not in ids]
    if len(kept) == len(present):
        spans = {member.name: ByteSpan(member.offset, member.size) for member in present}
        return RewrittenTar(FileFact(store.entry(name).size, store.sha256(name)), spans)
    with TarWriter(scratch / "rewritten.tar") as tar:
        spans = {
            member.name: tar.add(member.name, read_span(store, name, member.offset, member.size)) for member in kept
        }
    store.commit(tar.path, name)
    return RewrittenTar(tar.fact, spans)


def array_without(store: Store, name: str, dropped: NDArray[np.bool_], scratch: Path) -> FileFact:
    """Write a ``.npy`` file anew without some rows, and return its size and hash.

    Args:
        store: the DIR.
        name: its name.
        dropped: True for each row to drop, for the rows that the array had before any were dropped.
        scratch: an existing folder on a local disk.

    Raises:
        ShardError: the array is unreadable, or has another number of rows.
    """
    array = _open(store, name)
    left = len(dropped) - int(dropped.sum())
    if len(array) == left and left < len(dropped):  # an interrupted removal has come this far
        return FileFact(store.entry(name).size, store.sha256(name))
    if len(array) != len(dropped):
        raise ShardError(f"{name}: holds {len(array)} rows, its table {len(dropped)}; delete both, they are made again")
    local = scratch / "rewritten.npy"
    with local.open("wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array[~dropped]), allow_pickle=False)
    fact = FileFact(local.stat().st_size, file_sha256(local))
    store.commit(local, name)
    return fact


def _open(store: Store, name: str) -> NDArray[Any]:
    """Return an array; that of a folder is mapped, not read."""
    try:
        if store.is_local:
            mapped: NDArray[Any] = np.load(store.path(name), mmap_mode="r", allow_pickle=False)
            return mapped
        loaded: NDArray[Any] = np.load(io.BytesIO(store.read_bytes(name)), allow_pickle=False)
    except ValueError as error:
        raise ShardError(
            f"{name}: no readable array ({error}); delete it with its table, they are made again"
        ) from None
    return loaded
