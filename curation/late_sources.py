"""Late sources: videos that were still downloading when the rest of their shard was committed.

Their shard records them as pending (`late`). At the end of the same run they are tried again in new shards, which wait
for them as long as their downloads take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeVar

from curation.media.media_settings import MediaSettings
from curation.run_request import RunRequest
from runtime.ray_runner.display.progress import PoolFigures
from runtime.ray_runner.run_record import RunReport
from shards.schema import PostponedClass

LATE: Final[PostponedClass] = "late"
_PENDING: Final = "pending"
N = TypeVar("N", int, float)


def late_sources(report: RunReport) -> int:
    """Return how many sources of a run are to be tried again now; 0 if the run was ended early."""
    if report.fatal is not None or report.interrupted:
        return 0
    return int(report.counts.get("media", {}).get(f"{_PENDING}:{LATE}", 0))


def late_request(request: RunRequest) -> RunRequest:
    """Return the request of the round that tries the late sources, and nothing else that is new."""
    branches = {
        name: branch.model_copy(update={"late_after": 0.0})
        for name, branch in vars(request.settings).items()
        if isinstance(branch, MediaSettings)
    }
    settings = request.settings.model_copy(update=branches)
    waiting = frozenset((LATE,))
    return replace(request, settings=settings, inputs=(), limit=None, retry=None, replace=False, tries=waiting)


def with_late_round(first: RunReport, second: RunReport) -> RunReport:
    """Return the report of a whole run: the late sources of the first round are those of the second."""
    late = late_sources(first)
    media = dict(first.counts.get("media", {}))
    media[_PENDING] = media.get(_PENDING, 0) - late
    media.pop(f"{_PENDING}:{LATE}", None)
    before = {**first.counts, "media": media}
    stages = {**before, **second.counts}
    return replace(
        second,
        done=_added(first.done, second.done),
        counts={name: _added(before.get(name, {}), second.counts.get(name, {})) for name in stages},
        elapsed=first.elapsed + second.elapsed,
        pools=_added_pools(first.pools, second.pools),
        streamed=first.streamed,
    )


def _added(first: Mapping[str, N], second: Mapping[str, N]) -> dict[str, N]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}


def _added_pools(first: tuple[PoolFigures, ...], second: tuple[PoolFigures, ...]) -> tuple[PoolFigures, ...]:
    again = {pool.pool: pool for pool in second}
    both = [_added_pool(pool, again.pop(pool.pool)) if pool.pool in again else pool for pool in first]
    return (*both, *again.values())


def _added_pool(first: PoolFigures, second: PoolFigures) -> PoolFigures:
    total = None if first.total is None or second.total is None else first.total + second.total
    return replace(
        second,
        total=total,
        done=first.done + second.done,
        worker_seconds=first.worker_seconds + second.worker_seconds,
        counts=_added(first.counts, second.counts),
        failed=_added(first.failed, second.failed),
    )
