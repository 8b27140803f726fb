"""The outcomes of the sources of a DIR by state and class, and the throughput of its runs from their logs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from curation.reporting.run_costs import RunCosts
from curation.sources.source_states import SourceState, SourceStates
from shards.storage.store import Store

_EXAMPLES: Final = 5
_RUNS: Final = 5
_MOST_POINTS: Final = 200
_LARGEST_LOG: Final = 32 << 20
_RATES: Final = {"clips": "clips_per_second", "tokens": "tokens_per_second"}
"""Throughputs that a log states, by their unit."""


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
    rates: Sequence[tuple[float, float]]
    """Seconds since the start, and its throughput over the minute before, in units a second."""
    rate_unit: str
    """Unit of its throughput: ``clips`` or ``tokens``; "" if it counts neither."""
    waits: float | None
    """Share of its workers' time without work, 0 to 1; None if its log doesn't state it."""
    counts: Mapping[str, float]
    """Its figures at the end."""


@dataclass(frozen=True)
class LoggedRun:
    """One run, by its log."""

    name: str
    """Time of its start in UTC, as people write it."""
    status: str
    seconds: float
    pools: Sequence[PoolSpeed]
    unreadable: int
    """Lines that are no record of a run."""
    costs: RunCosts


def outcomes(store: Store) -> list[OutcomeGroup]:
    """Return the sources by state and class, in the order of states and the largest class first.

    Raises:
        UserError: the DIR holds no sources.
    """
    states = SourceStates(store)
    groups = [
        OutcomeGroup(
            count.state,
            count.class_ or "",
            count.sources,
            count.seconds / 3600,
            count.clips,
            states.some(count, _EXAMPLES),
        )
        for count in states.counts()
    ]
    states.close()
    return groups


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
    kept = progress[: -1 : max(len(progress) // _MOST_POINTS, 1)] + progress[-1:]
    pools = [_pool(pool, kept, state) for pool, state in last.get("pools", {}).items() if isinstance(state, dict)]
    ended = rows[-1] if rows and rows[-1].get("event") == "end" else {}
    return LoggedRun(
        _started(name.removesuffix(".jsonl")),
        str(ended.get("status", "not ended")),
        _number(last.get("elapsed")),
        pools,
        unreadable,
        RunCosts.of_record(last),
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
    states = [(_number(row.get("elapsed")), row["pools"].get(name)) for row in progress]
    known = [(seconds, state) for seconds, state in states if isinstance(state, dict)]
    points = [(seconds, min(_number(state.get("done")) / total, 1.0)) for seconds, state in known if total]
    unit = next((unit for unit in _RATES if any(_number(state.get(_RATES[unit])) for _, state in known)), "")
    running = [(seconds, state) for seconds, state in known if state.get("state") != "done"]
    rates = [(seconds, _number(state.get(_RATES[unit]))) for seconds, state in running] if unit else []
    given = last.get("counts")
    counts = {str(key): _number(value) for key, value in given.items()} if isinstance(given, dict) else {}
    waits = None if last.get("waits") is None else _number(last["waits"])
    done = int(_number(last.get("done")))
    return PoolSpeed(name, str(last.get("unit", "")), done, int(total), points, rates, unit, waits, counts)


def _started(name: str) -> str:
    """Return the time in the name of a log, such as ``20261130T195843.152877Z``; another name as it is."""
    try:
        return f"{datetime.strptime(name, '%Y%m%dT%H%M%S.%fZ'):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return name


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
