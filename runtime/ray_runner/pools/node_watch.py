"""The nodes of a Ray: those that are alive, and the one that a process is on.

They are looked at in a thread of its own, because a lost cluster answers late or never.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Final

from runtime.ray_runner.cluster import alive_nodes
from runtime.ray_runner.placement import MachineNode

_PAUSE_SECONDS: Final = 2.0


class NodeWatch:
    """The nodes that were alive when last looked at.

    Args:
        nodes: those that are alive now.
    """

    def __init__(self, nodes: Sequence[MachineNode]) -> None:
        self.nodes = tuple(nodes)
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._look, daemon=True, name="nodes").start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def _look(self) -> None:
        while not self._ended.wait(_PAUSE_SECONDS):
            with contextlib.suppress(Exception):  # the driver learns from its processes what is lost
                self.nodes = alive_nodes() or self.nodes


def node_id() -> str:
    """Return Ray's id of the node that this process is on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())
