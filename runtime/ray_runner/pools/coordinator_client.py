"""The driver's side of the run coordinator: starts the actor, and takes its updates without waiting for a restart."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

from runtime.errors import MachineError, one_line
from runtime.ray_runner.pools.coordinator import RunCoordinator, WorkerUpdates
from runtime.retry_limits import COORDINATOR_RESTARTS, RAY_START_SECONDS, RAY_STOP_SECONDS

COORDINATOR_LOST: Final = (
    f"the run coordinator's process died {1 + COORDINATOR_RESTARTS.count} times, often memory; see Ray's logs"
)


class CoordinatorClient:
    """Starts the coordinator of one group of stages, and holds it.

    Args:
        deaths: for each stage, the times that a worker may die on one shard.
    """

    def __init__(self, deaths: Mapping[str, int]) -> None:
        import ray

        actor = ray.remote(
            num_cpus=0, max_restarts=COORDINATOR_RESTARTS.count, max_task_retries=-1, max_concurrency=10_000
        )(RunCoordinator)
        self.actor: Any = actor.remote(list(deaths), dict(deaths))
        """Handle for the workers."""
        self.not_ready = set(deaths)
        """Stages that have had no ready worker yet."""
        self._pending: Any = None
        self._asked = 0.0

    def updates(self, patience: float) -> WorkerUpdates | None:
        """Return everything reported since the last call; None if the coordinator, perhaps restarting, needs longer.

        Args:
            patience: seconds to wait.

        Raises:
            MachineError: the coordinator died once too often, or Ray did not answer in the time that a start may take.
        """
        import ray

        if self._pending is None:
            self._pending, self._asked = self.actor.take_updates.remote(not self.not_ready), time.monotonic()
        try:
            updates: WorkerUpdates = ray.get(self._pending, timeout=patience)
        except ray.exceptions.GetTimeoutError:
            if time.monotonic() - self._asked > RAY_START_SECONDS.seconds:
                raise MachineError(f"Ray has not answered for {RAY_START_SECONDS.seconds:.0f} s") from None
            return None
        except ray.exceptions.RayActorError:
            raise MachineError(COORDINATOR_LOST) from None
        except ray.exceptions.RayError as error:
            raise MachineError(f"Ray does not answer any more: {one_line(error, keep='last', named=True)}") from None
        self._pending = None
        self.not_ready -= {stage for stage, workers in updates.ready.items() if workers}
        return updates

    def stop_shards(self) -> WorkerUpdates | None:
        """Have the workers begin no further shard, and return the last updates; None if there is no answer."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError, MachineError):
            ray.get(self.actor.stop.remote(), timeout=RAY_STOP_SECONDS.seconds)
            return self.updates(RAY_STOP_SECONDS.seconds)
        return None

    def end(self) -> None:
        """End the coordinator's process."""
        import ray

        ray.kill(self.actor)
