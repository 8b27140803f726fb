"""Stages over all shards at once: a worker reads tables of every shard and commits one table (deduplication).

A `TableStageSpec` stands in the list of a run's stages beside `StageSpec`s. Its position is its dependency: it starts
when every stage before it has finished all its shards, and the stages after it start when its table is committed.
`as_row_stages` turns it into a stage with a single row, so that worker deaths, progress, logs and results are handled
by the same code as for shards.

Planning a table stage:

- its content hash is made from its settings, as for other stages;
- its table is up to date if it was made with this hash and the digests of all its input artifacts are unchanged.
  Then `shards` is empty and the stage is skipped. Otherwise `shards` lists every shard whose tables it reads,
  those that stages before it will make in the same run included;
- its worker records the inputs' digests when it commits, in one commit. A killed stage has committed nothing, so the
  next run plans it again and it starts over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from runtime.ray_runner.stage import PoolSettings, Service, ShardResult, StageSpec, Worker
from runtime.retry_limits import OTHER_DEATHS_PER_SHARD

WHOLE_TABLE: Final = -1
"""The shard number under which the single row of a table stage is reported."""


class TableWorker(Protocol):
    """The worker of a table stage, built inside its own process; it never raises for bad data."""

    async def process_all(self, shards: Sequence[int]) -> ShardResult:
        """Read the input tables of `shards` and commit the output table, once and at the end.

        Called again from the start, with the same shards, after its process died. The same inputs must give the same
        table. Blocking work belongs in ``asyncio.to_thread``.
        """


@dataclass(frozen=True)
class TableStageSpec:
    """A stage that reads tables of all shards and writes one table."""

    name: str
    build: Callable[[Mapping[str, Service]], TableWorker]
    """Pickled and called in the worker's process with the services that `services` names."""
    pool: PoolSettings
    """Resources of its one worker; `min`, `max` and `in_flight` are ignored."""
    inputs: Sequence[str]
    """Folders of the DIR whose artifacts it reads (``media``, ``text/<layer>``): the planner compares their digests."""
    output: str
    """The table it writes, as a path in the DIR (``selections/<name>.parquet``)."""
    shards: Sequence[int]
    """Shards whose tables it reads, in order; empty: the table is up to date, nothing to do."""
    services: Sequence[str] = ()
    deaths: int = OTHER_DEATHS_PER_SHARD.count
    """Times its process may die before the run ends."""


AnyStageSpec = StageSpec | TableStageSpec


def as_row_stages(stages: Sequence[AnyStageSpec]) -> list[StageSpec]:
    """Return the stages with each table stage as a stage of one row, whose shard number is `WHOLE_TABLE`."""
    return [_row_stage(stage) if isinstance(stage, TableStageSpec) else stage for stage in stages]


def describe_row(stage: str, shard: int) -> str:
    """Return ``stage media, shard 3`` for messages, or ``stage dedup`` for the row of a table stage."""
    return f"stage {stage}" if shard == WHOLE_TABLE else f"stage {stage}, shard {shard}"


def _row_stage(stage: TableStageSpec) -> StageSpec:
    return StageSpec(
        name=stage.name,
        build=partial(_build_row_worker, stage.build, tuple(stage.shards)),
        pool=stage.pool.model_copy(update={"min": 1, "max": 1, "in_flight": 1}),
        shards=(WHOLE_TABLE,) if stage.shards else (),
        services=stage.services,
        deaths=stage.deaths,
        unit="table",
    )


class _RowWorker:
    """A `Worker` of a single row that passes all shards to a `TableWorker`."""

    def __init__(self, worker: TableWorker, shards: Sequence[int]) -> None:
        self._worker = worker
        self._shards = shards

    async def process(self, shard: int) -> ShardResult:
        """Make the whole table; see `TableWorker.process_all`."""
        assert shard == WHOLE_TABLE, f"a table stage has one row, got shard {shard}"
        return await self._worker.process_all(self._shards)


def _build_row_worker(
    build: Callable[[Mapping[str, Service]], TableWorker], shards: Sequence[int], services: Mapping[str, Service]
) -> Worker:
    return _RowWorker(build(services), shards)
