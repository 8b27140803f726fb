"""Memory of batches that is used again: the kernel clears each new page, which costs more than the copy into it.

A tensor's memory comes back when its last view is gone. PyTorch does this for pinned memory and for GPUs, but not for
plain memory of the CPU.
"""

from __future__ import annotations

import weakref
from threading import RLock
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

_SMALLEST: Final = 1 << 20
"""Bytes; smaller tensors are left to the allocator of the process, which keeps their memory itself."""


class RecycledMemory:
    """Lends memory to tensors, and keeps what came back."""

    def __init__(self, most: int = 2) -> None:
        """Keep at most `most` blocks that are not lent."""
        self._most = most
        self._free: list[NDArray[np.uint8]] = []
        self._lock = RLock()  # a block may come back in any thread, also in one that is just taking another

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return a tensor whose values are not initialised."""
        size = int(np.prod(shape)) * dtype.itemsize
        if size < _SMALLEST:
            return torch.empty(shape, dtype=dtype)
        block = self._block(size)
        lent = block[:size]
        weakref.finalize(lent, self._give_back, block).atexit = False  # the tensor holds `lent`, and nothing else does
        return torch.from_numpy(lent).view(dtype).view(shape)

    def _block(self, size: int) -> NDArray[np.uint8]:
        """Return a kept block of this size up to twice it, otherwise a new one."""
        with self._lock:
            fitting = [number for number, block in enumerate(self._free) if size <= block.nbytes <= 2 * size]
            if fitting:
                return self._free.pop(fitting[-1])
        block: NDArray[np.uint8] = torch.empty(size, dtype=torch.uint8).numpy()
        return block

    def _give_back(self, block: NDArray[np.uint8]) -> None:
        with self._lock:
            self._free.append(block)
            del self._free[: -self._most]


BATCH_MEMORY: Final = RecycledMemory()
"""The memory of this process's batches."""
