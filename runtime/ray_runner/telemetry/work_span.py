"""The time that a stage's worker had a shard in its hands."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class WorkSpan:
    """One attempt at one shard, from its begin to its commit."""

    began: float
    """Seconds since the epoch, by the clock of the worker's node."""
    seconds: float
    worker: str
    node: str


@dataclass(frozen=True)
class WorkPlace:
    """A worker, as spans name it."""

    worker: str
    node: str

    @classmethod
    def of_actor(cls) -> WorkPlace:
        """Return the Ray actor that this process is; two raylets of one host are two nodes."""
        import ray

        context = ray.get_runtime_context()
        return cls(context.get_actor_id() or "driver", f"{socket.gethostname()} {context.get_node_id()[:8]}")

    @classmethod
    def of_process(cls) -> WorkPlace:
        """Return this process as the only worker."""
        return cls("local", socket.gethostname())

    def span(self, began: float, began_monotonic: float) -> WorkSpan:
        """Return the span that ends now.

        Args:
            began: `time.time` at its begin.
            began_monotonic: `time.monotonic` at its begin; a clock that is set meanwhile doesn't change the length.
        """
        return WorkSpan(began, time.monotonic() - began_monotonic, self.worker, self.node)
