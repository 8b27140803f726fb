"""torch's random state of one rank: read, set, and replayed for a second forward pass with the same dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import torch


class RandomState(TypedDict):
    """torch's random state of one rank, as it is kept in a checkpoint."""

    cpu: torch.Tensor
    cuda: torch.Tensor | None
    """None on a machine without CUDA."""


def random_state() -> RandomState:
    """Return the state that this rank's next random numbers depend on, as `set_random_state` takes it."""
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: RandomState) -> None:
    """Continue drawing from where `random_state` was read."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def replay_random_state(state: RandomState) -> Iterator[None]:
    """Draw the block's random numbers from `state` again; afterwards the draws continue as if the block had not run."""
    now = random_state()
    set_random_state(state)
    try:
        yield
    finally:
        set_random_state(now)
