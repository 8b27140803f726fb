"""The outcomes of the sources of a DIR by state and class, and the throughput of its runs from their logs."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curation.sources.source_states import SourceState, source_states
from shards.schema import STATES
from shards.storage.store import Store

_EXAMPLES: Final = 5
_RUNS: Final = 5
_MOST_POINTS: Final = 200
_LARGEST_LOG: Final = 32 << 20


@dataclass(frozen=True)
class OutcomeGroup:
    """The sources of one state and class."""

    state: str
    class_: str
    sources: int
    hours: float
    clips: int
    examples: Sequence[SourceState]


@dataclass(frozen=True)
class PoolSpeed:
    """One pool of workers of a run over time."""

    name: str
    unit: str
    done: int
    total: int
    points: Sequence[tuple[float, float]]
    """Seconds since the start, and the share that was done, 0 to 1."""
    counts: Mapping[str, float]
    """Its figures at the end."""


@dataclass(frozen=True)
class LoggedRun:
    """One run, by its log."""

    name: str
    status: str
    seconds: float
    pools: Sequence[PoolSpeed]
    unreadable: int
    """Lines that are no record of a run."""


def outcomes(store: Store) -> list[OutcomeGroup]:
    """Return the sources by state and class, in the order of states and the largest class first.

    Raises:
        UserError: the DIR holds no sources.
    """
    groups: dict[tuple[str, str], list[SourceState]] = defaultdict(list)
    for source in source_states(store):
        groups[source.state, source.class_ or ""].append(source)
    found = [
        OutcomeGroup(
            state,
            class_,
            len(sources),
            sum(source.seconds or 0 for source in sources) / 3600,
            sum(source.clips for source in sources),
            sources[:_EXAMPLES],
        )
        for (state, class_), sources in groups.items()
    ]
    order = {state: place for place, state in enumerate(STATES)}
    return sorted(found, key=lambda each: (order[each.state], -each.sources))  # type: ignore[index]


def logged_runs(store: Store) -> list[LoggedRun]:
    """Return the last runs by their logs, the latest first; none if the DIR has no logs."""
    names = sorted((name for name in store.list("log") if name.endswith(".jsonl")), reverse=True)[:_RUNS]
    return [_logged(store, name) for name in names]


def _logged(store: Store, name: str) -> LoggedRun:
    rows, unreadable = [], 0
    for row in _records(store, f"log/{name}"):
        if row is None:
            unreadable += 1
        else:
            rows.append(row)
    progress = [row for row in rows if isinstance(row.get("pools"), dict)]
    last = progress[-1] if progress else {}
    kept = progress[:: max(len(progress) // _MOST_POINTS, 1)] + progress[-1:]
    pools = [_pool(pool, kept, state) for pool, state in last.get("pools", {}).items() if isinstance(state, dict)]
    ended = rows[-1] if rows and rows[-1].get("event") == "end" else {}
    return LoggedRun(
        name.removesuffix(".jsonl"),
        str(ended.get("status", "not ended")),
        _number(last.get("elapsed")),
        pools,
        unreadable,
    )


def _records(store: Store, name: str) -> Iterator[dict[str, Any] | None]:
    for line in store.read_bytes(name, 0, _LARGEST_LOG).splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            yield None
            continue
        yield row if isinstance(row, dict) else None


def _pool(name: str, progress: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> PoolSpeed:
    total = _number(last.get("total"))
    points = []
    for row in progress:
        state = row["pools"].get(name)
        if isinstance(state, dict) and total:
            points.append((_number(row.get("elapsed")), min(_number(state.get("done")) / total, 1.0)))
    given = last.get("counts")
    counts = {str(key): _number(value) for key, value in given.items()} if isinstance(given, dict) else {}
    return PoolSpeed(name, str(last.get("unit", "")), int(_number(last.get("done"))), int(total), points, counts)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
