"""Arrays that workers hand to each other through the DIR while duplicates are looked for; each file appears whole."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.errors import ShardError, one_line
from shards.storage.store import Store


def save_arrays(store: Store, name: str, **arrays: NDArray[Any]) -> None:
    """Write arrays as one file; its presence says that the unit of work is done."""
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **arrays)
    store.commit_bytes(data.getvalue(), name)


def load_arrays(store: Store, name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file of `save_arrays`.

    Raises:
        ShardError: the file is damaged.
        FileNotFoundError: there is no such file.
    """
    data = store.read_bytes(name)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (ValueError, OSError, KeyError) as error:
        raise ShardError(f"{name}: damaged ({one_line(error)}); remove its folder, and start again") from None


def save_rows(store: Store, name: str, rows: NDArray[np.float16]) -> None:
    """Write the rows of an array, without a header, so that a range of rows is a range of bytes."""
    store.commit_bytes(np.ascontiguousarray(rows, np.float16).tobytes(), name)


def load_rows(store: Store, name: str, first: int, last: int, width: int) -> NDArray[np.float16]:
    """Return rows `first` to before `last` of a file of `save_rows` [last - first, width].

    Raises:
        ShardError: the file ends before.
    """
    size = 2 * width
    data = store.read_bytes(name, first * size, (last - first) * size)
    if len(data) != (last - first) * size:
        raise ShardError(f"{name}: ends too early; remove its folder, and start again")
    return np.frombuffer(data, np.float16).reshape(last - first, width)
