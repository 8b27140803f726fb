"""The dataset of one group of stages, and the thread that reads it. Imports Ray: import this only when there is work.

`_context` and `_then` switch off defaults of Ray Data that do harm here: packing many rows into a block, giving up
after half an hour without a row, queueing shards behind busy workers, taking CPUs that belong to services.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset
from ray.data._internal.execution.execution_callback import ExecutionCallback
from ray.data._internal.execution.interfaces import ExecutionResources

from runtime.ray_runner.placement import MachineNode
from runtime.ray_runner.pools.stage_worker import ShardRow, StageActor, StageActorSpec
from runtime.ray_runner.stage import Service, StageSpec


class ShardStream:
    """The rows of a dataset, read in a thread of its own, so that the driver's thread can watch the run."""

    def __init__(
        self, stages: Sequence[StageSpec], services: Mapping[str, Service], coordinator: Any, resources: MachineNode
    ) -> None:
        self._dataset = _dataset(stages, services, coordinator, resources)
        self._queue: queue.Queue[ShardRow | BaseException | None] = queue.Queue()
        self._thread = threading.Thread(target=self._consume, daemon=True, name="rows")
        self.ended = False
        """True once every row has been yielded."""

    def rows(self, patience: float) -> Iterator[ShardRow | None]:
        """Yield rows as they leave the last stage, and None each time that none came for `patience` seconds.

        Raises:
            Exception: whatever ended the dataset early.
        """
        self._thread.start()
        while not self.ended:
            try:
                item = self._queue.get(timeout=patience)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, BaseException):
                raise item
            self.ended = item is None
            if item is not None:
                yield item

    def stop(self) -> None:
        """Kill the dataset's workers unless all rows have been yielded."""
        executor, ExecutorCapture.current = ExecutorCapture.current, None
        if executor is not None and not self.ended:
            executor.shutdown(force=True)
            self._thread.join(timeout=5)

    def _consume(self) -> None:
        try:
            for block in self._dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                self._queue.put(ShardRow.of(block))
            self._queue.put(None)
        except BaseException as error:  # handed to the driver's thread, which ends the run
            self._queue.put(error)


class ExecutorCapture(ExecutionCallback):
    """Keeps Ray Data's executor: the only way to stop a dataset from a thread that does not read it."""

    current: ClassVar[Any] = None

    def before_execution_starts(self, executor: Any) -> None:
        """Keep the executor; called by Ray Data in the driver."""
        ExecutorCapture.current = executor


def _dataset(
    stages: Sequence[StageSpec], services: Mapping[str, Service], coordinator: Any, resources: MachineNode
) -> Dataset:
    rows = _rows(stages)
    with DataContext.current(_context(resources)):
        dataset = ray.data.from_items([row.item() for row in rows], override_num_blocks=len(rows))
        assert dataset.num_blocks() == len(rows), "one shard is one block"
        for stage in stages:
            dataset = _then(dataset, stage, {name: services[name] for name in stage.services}, coordinator)
    return dataset


def _rows(stages: Sequence[StageSpec]) -> list[ShardRow]:
    wanted = {stage.name: set(stage.shards) for stage in stages}
    shards = sorted(set[int]().union(*wanted.values()))
    return [ShardRow(shard, tuple(name for name, has in wanted.items() if shard in has)) for shard in shards]


def _then(dataset: Dataset, stage: StageSpec, services: Mapping[str, Service], coordinator: Any) -> Dataset:
    """Append one stage. Actor pools are never fused with one another.

    Ray restarts dead workers and retries their shards without end; `RunCoordinator` sets the bound.
    """
    pool = stage.pool
    fewest = max(1, min(pool.min, len(stage.shards)))
    return dataset.map_batches(
        StageActor,
        fn_constructor_args=(
            StageActorSpec(stage.name, stage.build, services, pool.in_flight, stage.deaths, coordinator),
        ),
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(
            min_size=fewest,
            max_size=max(fewest, min(pool.max, len(stage.shards))),
            max_tasks_in_flight_per_actor=pool.in_flight,
            max_concurrent_calls_per_actor=pool.in_flight,
        ),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
        memory=pool.memory_gb * 1024**3 or None,
    )


def _context(resources: MachineNode) -> DataContext:
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1  # a shard may take longer than the default half hour
    context.execution_options.preserve_order = False
    context.execution_options.resource_limits = ExecutionResources.for_limits(cpu=resources.cpus, gpu=resources.gpus)
    # No worker has shards queued behind those it works on, so a pool may grow as soon as it is full.
    context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0
    context.issue_detectors_config.detectors = []
    context.custom_execution_callback_classes = [ExecutorCapture]
    return context
