"""One folder takes the place of another in an object store, which has no renames: by copies, which may be repeated.

The replacement is written down first, as the file `SWAP` in the new folder. If a run is killed at any later point,
`complete_swaps` carries it out. Nothing is removed before all copies are there, so every table that both folders have
can be read at any time; `shards.dataset` refuses a mixture of both.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shards.storage.object_store import ObjectStore

SWAP: Final = ".swap.json"
"""File in a folder that is replacing another: the name of that one, and the names of all files."""
_AT_ONCE: Final = 16
"""Copies and deletions at a time: readers of a layer that is being replaced wait for their end."""


def swap_folders(store: ObjectStore, new: str, old: str) -> None:
    """Put the folder `new` in the place of `old`."""
    swap = {"replaces": old, "names": sorted(store.list(new, ""))}
    store.commit_bytes(json.dumps(swap).encode(), f"{new}/{SWAP}")
    _carry_out(store, new)


def complete_swaps(store: ObjectStore, folder: str) -> None:
    """Complete the replacements of folders in `folder` that were interrupted."""
    for name in store.folders(folder):
        new = f"{folder}/{name}" if folder else name
        if name.startswith(".") and store.exists(f"{new}/{SWAP}"):
            _carry_out(store, new)


def _carry_out(store: ObjectStore, new: str) -> None:
    """Carry out the replacement that is written down in the folder `new`; every step may be repeated."""
    swap = json.loads(store.read_bytes(f"{new}/{SWAP}", 0, None))
    old, names = str(swap["replaces"]), list(swap["names"])
    left = sorted(store.list(new, "").keys() & names)  # a file is removed here only when all have been copied
    _each(lambda name: store.copy(f"{new}/{name}", f"{old}/{name}"), left)
    _each(lambda name: store.delete(f"{old}/{name}"), sorted(store.list(old, "").keys() - names))
    _each(lambda name: store.delete(f"{new}/{name}"), left)
    store.delete_folder(new)


def _each(work: Callable[[str], None], names: Sequence[str]) -> None:
    """Do work for many files, many at a time, and for the record of their folder after its tables."""
    records = [name for name in names if name.startswith("_")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        deque(pool.map(work, (name for name in names if name not in records)), maxlen=0)
    for name in records:
        work(name)
