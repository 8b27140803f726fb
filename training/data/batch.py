"""The base of every batch: rows along dimension 0, made empty, concatenated, and split.

A worker makes a small batch of a few roots, the loader concatenates such batches into one rank's batch, and a task
splits that into micro-batches. All three are the same type: `training.data.clip_batch` for decoded clips,
`training.models.vidlankd.text_batch` for text and for text with visual features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

import numpy as np
import torch

from training.data.recycled_memory import BATCH_MEMORY

_SMALL_BYTES: Final = 1 << 16
"""Tensors of up to this size are pickled as arrays: torch passes each tensor through a file descriptor of its own."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows with a name each, and the counts of what could not be used.

    A subclass adds fields that hold one value per row: a tensor with rows in dimension 0, a list, another batch, or a
    dict of tensors. A subclass whose rows are filled in one by one adds a classmethod `empty`: rows of weight 0.
    """

    keys: list[str]
    """Name of each row, for messages."""
    skips: Counter[str] = field(default_factory=Counter)
    """Number of rows that could not be used, by reason."""
    examples: dict[str, str] = field(default_factory=dict)
    """By reason: the first such row, with the error message."""
    bytes_read: int = 0
    """Bytes of media that were read for the batch."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def usable(self) -> int:
        """Number of rows that contribute to the loss."""
        return len(self)

    @classmethod
    def cat(cls, parts: Sequence[Self], *, pin: bool = False) -> Self:
        """Concatenate batches, rows and counts, in order.

        Args:
            parts: at least one; all of equal shape except for the number of rows.
            pin: copy tensors to page-locked memory, from which they are sent to a GPU asynchronously.
        """
        rows = {name: _cat([getattr(part, name) for part in parts], pin) for name in cls._row_fields()}
        return cls(
            **rows,
            skips=sum((part.skips for part in parts), Counter()),
            examples={reason: said for part in reversed(parts) for reason, said in part.examples.items()},
            bytes_read=sum(part.bytes_read for part in parts),
        )

    def rows(self, part: slice) -> Self:
        """Return a view of some of the rows, without the counts."""
        return type(self)(**{name: _rows(getattr(self, name), part) for name in self._row_fields()})

    def split(self, size: int) -> Iterator[Self]:
        """Yield pieces of at most `size` rows, in order, without the counts."""
        for begin in range(0, len(self), size):
            yield self.rows(slice(begin, begin + size))

    def pinned(self) -> Self:
        """Return a copy in page-locked memory, from which tensors are sent to a GPU asynchronously."""
        return self.cat([self], pin=True)

    @classmethod
    def _row_fields(cls) -> list[str]:
        return [each.name for each in fields(cls) if each.name not in ("skips", "examples", "bytes_read")]

    def __getstate__(self) -> dict[str, Any]:
        return {name: _map(value, _small_as_array) for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: _map(value, _as_tensor) for name, value in state.items()})


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    """Apply `change` to a field, or to every value of a dict of tensors."""
    if isinstance(value, dict) and not isinstance(value, Counter):
        return {name: change(each) for name, each in value.items()}
    return change(value)


def _rows(value: Any, part: slice) -> Any:
    return value.rows(part) if isinstance(value, Batch) else _map(value, lambda rows: rows[part])


def _cat(parts: Sequence[Any], pin: bool) -> Any:
    first = parts[0]
    if isinstance(first, Batch):
        return type(first).cat(parts, pin=pin)
    if isinstance(first, dict):
        return {name: _cat([part[name] for part in parts], pin) for name in first}
    if isinstance(first, list):
        return [row for part in parts for row in part]
    return _cat_tensors(parts, pin)


def _cat_tensors(parts: Sequence[torch.Tensor], pin: bool) -> torch.Tensor:
    first = parts[0]
    if len(parts) == 1 and not pin:
        return first
    rows = sum(len(part) for part in parts)
    shape = (rows, *first.shape[1:])
    pinned = torch.empty(shape, dtype=first.dtype, pin_memory=True) if pin else None
    return torch.cat(list(parts), out=BATCH_MEMORY.tensor(shape, first.dtype) if pinned is None else pinned)


def _small_as_array(value: Any) -> Any:
    return value.numpy() if isinstance(value, torch.Tensor) and value.nbytes <= _SMALL_BYTES else value


def _as_tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
