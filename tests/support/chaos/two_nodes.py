"""A cluster of two nodes of which the second is killed, and another added."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psutil
from support.chaos.victims import command_of
from support.processes import below
from support.ray_cluster import Head, head_node, joined_node


@dataclass
class TwoNodes:
    """The head, and the node that is joined now."""

    head: Head
    _second: ExitStack = field(default_factory=ExitStack)
    _pid: int | None = None
    _joining: threading.Thread | None = None

    @property
    def roots(self) -> Sequence[int]:
        """Process ids below which everything of the cluster is found."""
        return [pid for pid in (self.head.process.pid, self._pid) if pid is not None]

    def join(self) -> None:
        """Add a node."""
        self._pid = self._second.enter_context(joined_node(self.head, cpus=1)).pid

    def kill_second(self) -> str | None:
        """Kill the second node's raylet, and have another node join; return a description, or None if none is there."""
        if self._pid is None or (self._joining and self._joining.is_alive()):
            return None
        raylets = [process for process in below(self._pid) if "/raylet/raylet " in command_of(process)]
        if not raylets:
            return None
        psutil.Process(raylets[0].pid).kill()
        self._joining = threading.Thread(target=self._replace)
        self._joining.start()
        return f"process {raylets[0].pid}, and another node joins"

    def _replace(self) -> None:
        self._pid = None
        self._second.close()
        self._second = ExitStack()
        self.join()

    def close(self) -> None:
        """End the second node."""
        if self._joining:
            self._joining.join()
        self._second.close()


@contextmanager
def two_nodes(variables: Mapping[str, str] | None = None) -> Iterator[TwoNodes]:
    """Run a head and a second node of one logical CPU each."""
    with head_node(cpus=1, variables=variables) as head:
        nodes = TwoNodes(head)
        try:
            nodes.join()
            yield nodes
        finally:
            nodes.close()
