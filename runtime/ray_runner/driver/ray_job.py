"""One run on Ray as its driver gets it, and the messages that the driver sends back. All of them are pickled."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.stage import ServiceSpec, ShardResult, StageSpec


@dataclass(frozen=True)
class RayJob:
    """The arguments of `runtime.ray_runner.runner.run_stages`, with the stages that have work, as rows."""

    stages: Sequence[StageSpec]
    services: Sequence[ServiceSpec]
    cluster: ClusterSettings
    log_folder: Path | None
    title: str
    quiet: bool
    stages_in_turn: bool | None
    started: float = field(default_factory=time.monotonic)
    """Start of the run; all processes of a machine share this clock."""


@dataclass(frozen=True)
class RayIsUp:
    """Ray has started, or was joined."""

    processes: Mapping[str, int]
    """Process ids of the servers that Ray can't do without, by name; none for a cluster that was joined."""
    logs: Path | None


@dataclass(frozen=True)
class RayCloses:
    """Ray is about to be shut down: its servers may end from now on."""


@dataclass(frozen=True)
class Finished:
    """One shard has left a stage."""

    stage: str
    shard: int
    result: ShardResult


DriverMessage = RayIsUp | RayCloses | Finished | RunReport | BaseException
"""A `RunReport` or an exception is the last message."""
