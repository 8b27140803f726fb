"""Decides whether all stages of a run fit the machine at once or take turns. Pure functions.

`PoolSettings` gives the logical CPUs, GPUs and memory that each worker reserves; Ray gives those of each node. Pools
are packed worker by worker, because a worker can't be split over nodes, nor a share of a GPU over GPUs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runtime.errors import UserError
from runtime.ray_runner.stage import PoolSettings, ServiceSpec, StageSpec
from runtime.ray_runner.table_stage import AnyStageSpec, as_row_stages

_EPSILON = 1e-6


@dataclass(frozen=True)
class MachineNode:
    """The resources of one machine: logical CPUs, GPUs, memory in GiB (0: not accounted)."""

    cpus: float
    gpus: float = 0.0
    memory_gb: float = 0.0


@dataclass(frozen=True)
class StageGroup:
    """Stages that run at the same time, with the services they call."""

    stages: tuple[str, ...]
    services: tuple[str, ...]
    workers: Mapping[str, int] = field(default_factory=dict)
    """Workers of each service: at least its minimum, more if there is room for them."""


@dataclass(frozen=True)
class Placement:
    """The layout of a run: one group, or several one after another."""

    streams: bool
    """True if all stages over shards run at once."""
    why: str
    """One line for people: the layout and the reason for it."""
    groups: tuple[StageGroup, ...]


def place(
    stages: Sequence[AnyStageSpec],
    services: Sequence[ServiceSpec],
    resources: Sequence[MachineNode],
    in_turn: bool | None = None,
) -> Placement:
    """Lay out `stages` and the services they name on the nodes of `resources`.

    A table stage is a group of its own: it starts when all stages before it are done.

    Args:
        stages: in the order of the pipeline.
        services: every service that a stage names; others are left out.
        resources: the nodes of the cluster; one for an in-process Ray.
        in_turn: True: one stage after another even if all would fit; False: refuse if they don't.

    Raises:
        UserError: one stage with its services is too large for the machine, or `in_turn` is False and all
            together are; names ``resources.<pool>.<setting>``, its value, and what the machine has.
    """
    rows = as_row_stages(stages)
    parts = [_place_part(part, services, resources, in_turn) for part in _parts(rows)]
    over_shards = [part for part, stages in zip(parts, _parts(rows), strict=True) if stages[0].unit == "shard"]
    in_turns = next((part for part in over_shards if not part.streams), None)
    layout = in_turns or (over_shards or parts)[0]
    tables = [stage.name for stage in rows if stage.unit == "table"]
    why = "; ".join([layout.why, *(f"{name} reads all shards at once" for name in tables)])
    return Placement(in_turns is None, why, tuple(group for part in parts for group in part.groups))


def _parts(stages: Sequence[StageSpec]) -> list[list[StageSpec]]:
    """Split the stages so that each table stage is alone."""
    parts: list[list[StageSpec]] = []
    for stage in stages:
        if not parts or stage.unit == "table" or parts[-1][-1].unit == "table":
            parts.append([])
        parts[-1].append(stage)
    return parts


def _place_part(
    stages: Sequence[StageSpec],
    services: Sequence[ServiceSpec],
    resources: Sequence[MachineNode],
    in_turn: bool | None,
) -> Placement:
    """Lay out stages that may run at the same time."""
    pools = {s.name: s.pool for s in services} | {s.name: s.pool for s in stages}
    all_names = _with_services(stages, services)
    fits = _fits(_units(pools, all_names), resources)
    sums = _sums(pools, all_names, resources)
    if fits and (in_turn is not True or len(stages) == 1):
        group = _group(stages, services, pools, resources)
        return Placement(True, f"stages stream: all pools fit at once ({sums})", (group,))
    if in_turn is False:
        raise UserError(_too_small("all stages together", pools, all_names, resources))
    for stage in stages:
        names = _with_services([stage], services)
        if not _fits(_units(pools, names), resources):
            raise UserError(_too_small(f"stage {stage.name!r} with its services", pools, names, resources))
    why = "as asked" if fits else f"all pools at once need more than there is ({sums})"
    groups = tuple(_group([stage], services, pools, resources) for stage in stages)
    return Placement(False, f"stages take turns: {why}", groups)


def _with_services(stages: Sequence[StageSpec], services: Sequence[ServiceSpec]) -> list[str]:
    named = {name for stage in stages for name in stage.services}
    return [s.name for s in services if s.name in named] + [s.name for s in stages]


def _group(
    stages: Sequence[StageSpec],
    services: Sequence[ServiceSpec],
    pools: Mapping[str, PoolSettings],
    nodes: Sequence[MachineNode],
) -> StageGroup:
    names = _with_services(stages, services)
    stage_names = tuple(s.name for s in stages)
    used = tuple(name for name in names if name not in stage_names)
    grown = _grow(pools, names, nodes)
    return StageGroup(stage_names, used, {name: grown[name] for name in used})


def _grow(pools: Mapping[str, PoolSettings], names: Sequence[str], nodes: Sequence[MachineNode]) -> dict[str, int]:
    """Return the workers of each pool when all grow in turn from their minimum until nothing more fits."""
    counts = {name: pools[name].min for name in names}
    growing = [name for name in names if counts[name] < pools[name].max]
    while growing:
        for name in list(growing):
            units = [pools[n] for n in names for _ in range(counts[n])] + [pools[name]]
            room = _fits(units, nodes)
            counts[name] += room
            if not room or counts[name] >= pools[name].max:
                growing.remove(name)
    return counts


def _units(pools: Mapping[str, PoolSettings], names: Iterable[str]) -> list[PoolSettings]:
    return [pools[name] for name in names for _ in range(pools[name].min)]


class _Free:
    """The free resources of a node while workers are packed onto it."""

    def __init__(self, node: MachineNode) -> None:
        self.cpus = node.cpus
        self.gpus = [1.0] * int(node.gpus)
        self.memory = node.memory_gb if node.memory_gb > 0 else float("inf")

    def take(self, unit: PoolSettings) -> bool:
        """Reserve the resources of one worker; return False and reserve nothing if there is no room."""
        whole = [i for i, free in enumerate(self.gpus) if free >= 1.0 - _EPSILON]
        shared = [i for i, free in enumerate(self.gpus) if free + _EPSILON >= unit.gpus]
        if unit.cpus > self.cpus + _EPSILON or unit.memory_gb > self.memory + _EPSILON:
            return False
        if unit.gpus >= 1:
            if len(whole) < unit.gpus:
                return False
            for i in whole[: int(unit.gpus)]:
                self.gpus[i] = 0.0
        elif unit.gpus > 0:
            if not shared:
                return False
            self.gpus[min(shared, key=lambda i: self.gpus[i])] -= unit.gpus
        self.cpus -= unit.cpus
        self.memory -= unit.memory_gb
        return True


class NodeRoom:
    """The room that is left on the nodes while workers are packed onto them, each onto the first that has room."""

    def __init__(self, nodes: Sequence[MachineNode]) -> None:
        self._free = [_Free(node) for node in nodes]

    def take(self, unit: PoolSettings) -> bool:
        """Reserve the resources of one worker; return False if no node has room for it."""
        return any(node.take(unit) for node in self._free)


def largest_first(units: Iterable[PoolSettings]) -> list[PoolSettings]:
    """Return workers in the order in which they are packed best: by GPUs, then CPUs and memory."""
    return sorted(units, key=lambda unit: (unit.gpus, unit.cpus, unit.memory_gb), reverse=True)


def _fits(units: Sequence[PoolSettings], nodes: Sequence[MachineNode]) -> bool:
    """Return True if all workers fit."""
    room = NodeRoom(nodes)
    return all(room.take(unit) for unit in largest_first(units))


_RESOURCES = (("cpus", "logical CPUs"), ("gpus", "GPUs"), ("memory_gb", "GiB of memory"))


def _needs(pools: Mapping[str, PoolSettings], names: Iterable[str], resource: str) -> float:
    return float(sum(pools[n].min * getattr(pools[n], resource) for n in names))


def _has(nodes: Sequence[MachineNode], resource: str) -> float:
    return float(sum(getattr(node, resource) for node in nodes))


def _sums(pools: Mapping[str, PoolSettings], names: Sequence[str], nodes: Sequence[MachineNode]) -> str:
    parts = []
    for resource, words in _RESOURCES:
        needs = _needs(pools, names, resource)
        if needs:
            parts.append(f"{needs:g} of {_has(nodes, resource):g} {words}")
    return ", ".join(parts) or "nothing is reserved"


def _too_small(what: str, pools: Mapping[str, PoolSettings], names: Sequence[str], nodes: Sequence[MachineNode]) -> str:
    """Return the line for a user: the largest pool of the scarce resource, and the remedy."""
    for resource, words in _RESOURCES:
        needs, has = _needs(pools, names, resource), _has(nodes, resource)
        if resource == "memory_gb" and any(node.memory_gb <= 0 for node in nodes):
            continue
        if needs > has + _EPSILON:
            largest = max(names, key=lambda n: pools[n].min * getattr(pools[n], resource))
            return (
                f"resources.{largest}.{resource}={getattr(pools[largest], resource):g} (times min="
                f"{pools[largest].min}): {what} needs {needs:g} {words}, there are {has:g}; "
                f"lower it, or take a larger machine or cluster (--address)"
            )
    largest = max(names, key=lambda n: (pools[n].gpus, pools[n].cpus, pools[n].memory_gb))
    unit = pools[largest]
    return (
        f"resources.{largest}: {what} fits in sum, but no node has room left for a worker of {unit.cpus:g} CPUs, "
        f"{unit.gpus:g} GPUs, {unit.memory_gb:g} GiB; make its workers smaller, or take larger nodes"
    )
