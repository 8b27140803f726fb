"""Decides when the pools of a run grow and shrink. Pure functions of the pools' states and the nodes that are alive.

A pool grows while work waits that none of its processes can take, into the room that the nodes have. On a cluster that
can get more nodes it grows beyond that room: Ray's autoscaler sees processes that wait for a node as demand. It at most
doubles each time, so that demand is asked for in steps. A pool shrinks when one of its processes is spare, and when
another pool lacks the room for a process that it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.ray_runner.placement import MachineNode, NodeRoom, largest_first
from runtime.ray_runner.stage import PoolSettings


@dataclass(frozen=True)
class PoolState:
    """One pool at one moment."""

    name: str
    settings: PoolSettings
    least: int
    """Processes that it needs."""
    members: int
    """Processes that it has, those included that are starting or wait for a node."""
    ready: int
    """Processes that are ready for work."""
    wanted: int = 0
    """Further processes that would have work now."""
    spare: bool = False
    """True if it can do with one process less."""


def members_to_add(states: Sequence[PoolState], nodes: Sequence[MachineNode], can_ask: bool) -> dict[str, int]:
    """Return the number of processes to add to each pool that grows; pools late in the pipeline come first.

    Args:
        states: in the order of the pipeline.
        nodes: those that are alive.
        can_ask: processes that wait for a node may bring one.
    """
    if not any(state.wanted for state in states):
        return {}
    room = NodeRoom(nodes)
    all_needed_fit = all(room.take(unit) for unit in largest_first(_needed(states)))
    for unit in largest_first(_further(states)):
        room.take(unit)
    added = {}
    for state in reversed(states):
        starting = state.members - state.ready
        most = min(state.wanted, state.settings.max - state.members, max(1, state.ready) - starting)
        fitting = sum(all_needed_fit and room.take(state.settings) for _ in range(most))
        if count := max(fitting, most if can_ask and not starting else 0):
            added[state.name] = count
    return added


def pools_to_shrink(states: Sequence[PoolState], nodes: Sequence[MachineNode]) -> list[str]:
    """Return the pools that give up one process: each that has a spare one, or the one that others need room from."""
    if spare := [state.name for state in states if state.spare and state.members > state.least]:
        return spare
    missing = [state.settings for state in states for _ in range(state.least - state.ready)]
    if not missing:
        return []
    room = NodeRoom(nodes)
    held = [state.settings for state in states for _ in range(state.ready)]
    if all(room.take(unit) for unit in [*largest_first(held), *largest_first(missing)]):
        return []
    largest = max(states, key=lambda state: state.ready - state.least)
    return [largest.name] if largest.ready > largest.least else []


def _needed(states: Sequence[PoolState]) -> list[PoolSettings]:
    return [state.settings for state in states for _ in range(min(state.least, state.members))]


def _further(states: Sequence[PoolState]) -> list[PoolSettings]:
    return [state.settings for state in states for _ in range(state.members - state.least)]
