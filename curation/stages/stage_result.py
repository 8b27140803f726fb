"""The result of a worker's work: its counts, or one line that ends the run."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from runtime.errors import UserError, is_machine_fault, one_line
from runtime.ray_runner.stage import ShardResult
from shards.errors import ShardError


async def stage_result(what: str, work: Awaitable[Mapping[str, float]]) -> ShardResult:
    """Await `work` and return its counts, or one line that begins with `what` if the run has to end.

    The run ends for mistakes of the user, a damaged DIR and faults of the machine. Errors of the program propagate.
    """
    try:
        return ShardResult(await work)
    except Exception as error:
        if not (isinstance(error, UserError | ShardError | OSError) or is_machine_fault(error)):
            raise
        return ShardResult(fatal=f"{what}: {one_line(error)}")
