"""The interface of a source of training clips; implementations are in `training.data.sources`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from training.data.clip_tasks import RootTask


class ClipSource(Protocol):
    """A source of training clips. Its order is a pure function of (seed, epoch) and of the source's content."""

    @property
    def identity(self) -> str:
        """Hash over everything that must be unchanged when a run is resumed."""
        ...

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms; every clip has a text or None for each."""
        ...

    @property
    def num_roots(self) -> int:
        """Number of roots; one visit of the data yields each once."""
        ...

    @property
    def num_clips(self) -> int:
        """Number of clips that the roots have in all."""
        ...

    def epoch(self, epoch: int, skip: int = 0, only: Callable[[int], bool] | None = None) -> Iterator[RootTask]:
        """Yield the roots of an epoch in order, starting at position `skip`, without reading the skipped ones.

        Args:
            epoch: number of the epoch, from 0.
            skip: number of roots to skip.
            only: takes a position in the epoch, returns True if this rank wants the root; None: all roots.
        """
        ...
