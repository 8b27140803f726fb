"""The costs of the runs of a DIR: hours of CPUs and GPUs by stage, tokens, bytes, and money where prices are given.

    DIR/log/*.jsonl (the last figures of each run) -> `RunCosts`

`curate status`, the viewer's page of runs and the summary of a run show the same figures. Hours are those for which a
worker held the CPUs and GPUs that it reserves, idle or not, which is what a machine is paid for. Logs of older versions
don't state them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from curation.reporting.run_logs import began, run_logs
from curation.reporting.spoken_numbers import length
from runtime.settings import Settings, build, load_yaml
from shards.storage.store import Store

if TYPE_CHECKING:
    from runtime.ray_runner.run_record import RunReport

REQUESTS: Final = "requests:"
"""Prefix of the counts of requests, by site."""
BYTES_IN: Final = "bytes:"
"""Prefix of the counts of bytes received, by site."""
_LAST_BYTES: Final = 1 << 18
"""Bytes at the end of a log that hold its last record."""


class RunPrices(Settings):
    """The prices of a user's machines and engines; what has no price costs nothing."""

    currency: str = Field(default="USD", min_length=1, max_length=12)
    """Unit of all prices."""
    cpu_hour: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """An hour of one reserved CPU."""
    gpu_hour: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """An hour of one reserved GPU."""
    million_prompt_tokens: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """A million tokens of requests, where an endpoint is paid by tokens."""
    million_completion_tokens: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """A million tokens of answers, where an endpoint is paid by tokens."""
    million_requests: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """A million requests to sites, where a proxy is paid by requests."""
    gigabyte_in: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """A gigabyte (10^9 bytes) received from sites, where a line or a proxy is paid by bytes."""
    gigabyte_month: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """A gigabyte (10^9 bytes) on disk for a month."""

    def by_figure(self) -> dict[str, float]:
        """Return the price of one unit of each figure of `RunCosts.figures`."""
        return {
            "cpu_hours": self.cpu_hour,
            "gpu_hours": self.gpu_hour,
            "prompt_tokens": self.million_prompt_tokens / 1e6,
            "completion_tokens": self.million_completion_tokens / 1e6,
            "requests": self.million_requests / 1e6,
            "gigabytes_in": self.gigabyte_in,
        }


@dataclass(frozen=True)
class PoolCosts:
    """The costs of one stage or engine."""

    pool: str
    cpu_hours: float | None
    """Hours times reserved CPUs; None if the log doesn't state them."""
    gpu_hours: float | None
    """Hours times reserved GPUs; None if the log doesn't state them."""
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    requests: float = 0.0
    """Requests to sites."""
    bytes_in: float = 0.0
    """Bytes received from sites."""

    def __add__(self, other: PoolCosts) -> PoolCosts:
        return PoolCosts(
            self.pool,
            _sum((self.cpu_hours, other.cpu_hours)),
            _sum((self.gpu_hours, other.gpu_hours)),
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.requests + other.requests,
            self.bytes_in + other.bytes_in,
        )


@dataclass(frozen=True)
class RunCosts:
    """The costs of one run, or of several together."""

    runs: int = 0
    hours: float = 0.0
    """From start to end, of all runs together."""
    pools: Sequence[PoolCosts] = ()
    """By stage and engine, in the order of the first run that had them."""
    unmeasured: int = 0
    """Runs whose log doesn't state the hours of CPUs and GPUs."""

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> RunCosts:
        """Return the costs of one run by a record of its log; none for a record without figures."""
        pools = record.get("pools")
        if not isinstance(pools, Mapping) or not pools:
            return cls()
        costs = [_of_pool(str(name), state) for name, state in pools.items() if isinstance(state, Mapping)]
        unmeasured = int(any(each.cpu_hours is None for each in costs))
        return cls(1, _number(record.get("elapsed")) / 3600, costs, unmeasured)

    @classmethod
    def of_report(cls, report: RunReport) -> RunCosts:
        """Return the costs of a run that has just ended."""
        return cls.of_record({"elapsed": report.elapsed, "pools": {each.pool: asdict(each) for each in report.pools}})

    @classmethod
    def added(cls, costs: Iterable[RunCosts]) -> RunCosts:
        """Return the costs of several runs together."""
        every = list(costs)
        pools: dict[str, PoolCosts] = {}
        for pool in (pool for each in every for pool in each.pools):
            pools[pool.pool] = pools[pool.pool] + pool if pool.pool in pools else pool
        return cls(
            sum(each.runs for each in every),
            sum(each.hours for each in every),
            list(pools.values()),
            sum(each.unmeasured for each in every),
        )

    @property
    def figures(self) -> dict[str, float | None]:
        """The figures that prices and predictions name; None if no log states one."""
        return {
            "hours": self.hours,
            "cpu_hours": self.cpu_hours,
            "gpu_hours": self.gpu_hours,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "requests": sum(pool.requests for pool in self.pools),
            "gigabytes_in": sum(pool.bytes_in for pool in self.pools) / 1e9,
        }

    @property
    def cpu_hours(self) -> float | None:
        """Hours of reserved CPUs; None if no log states them."""
        return _sum(pool.cpu_hours for pool in self.pools)

    @property
    def gpu_hours(self) -> float | None:
        """Hours of reserved GPUs; None if no log states them."""
        return _sum(pool.gpu_hours for pool in self.pools)

    @property
    def prompt_tokens(self) -> float:
        """Tokens of all requests to language models."""
        return sum(pool.prompt_tokens for pool in self.pools)

    @property
    def completion_tokens(self) -> float:
        """Tokens of all answers of language models."""
        return sum(pool.completion_tokens for pool in self.pools)

    def money(self, prices: RunPrices) -> float:
        """Return what the runs cost at some prices, in their currency; hours that are not known count as none."""
        return sum((self.figures[name] or 0.0) * price for name, price in prices.by_figure().items())


def read_prices(path: Path) -> RunPrices:
    """Return the prices in a YAML file.

    Raises:
        UserError: it can't be read, or names a price that there is not.
    """
    return build(RunPrices, load_yaml(path, "--prices"), f"--prices {path}")


def run_costs(store: Store, since: datetime | None = None) -> RunCosts:
    """Return what the runs of a DIR took, by their logs; the end of each log is read.

    Args:
        store: the DIR.
        since: only runs that began then or later; None: all.
    """
    names = [name for name in run_logs(store) if since is None or began(name) >= since]
    return RunCosts.added(RunCosts.of_record(last_figures(store, name)) for name in names)


def cost_line(costs: RunCosts) -> str:
    """Return one line with the hours and tokens of a run."""
    parts = [length(costs.hours)]
    for name, hours in (("CPU-hours", costs.cpu_hours), ("GPU-hours", costs.gpu_hours)):
        parts += [f"{hours:,.2f} {name}"] if hours else []
    if costs.prompt_tokens or costs.completion_tokens:
        parts.append(f"{costs.prompt_tokens:,.0f} tokens in and {costs.completion_tokens:,.0f} out")
    return ", ".join(parts)


def money(amount: float, prices: RunPrices) -> str:
    """Return an amount with its currency."""
    return f"{amount:,.2f} {prices.currency}"


def bytes_by_folder(store: Store) -> dict[str, int]:
    """Return the bytes in each folder of a DIR (``media``, ``text`` …) and in its folders, the largest first."""
    sizes = {folder: _bytes_in(store, folder) for folder in store.folders()}
    return dict(sorted(((name, size) for name, size in sizes.items() if size), key=lambda item: -item[1]))


def _bytes_in(store: Store, folder: str) -> int:
    inner = sum(_bytes_in(store, f"{folder}/{name}") for name in store.folders(folder))
    return inner + sum(entry.size for entry in store.list(folder).values())


def last_figures(store: Store, name: str) -> Mapping[str, Any]:
    """Return the last record of a log that has figures; an empty one if there is none."""
    size = store.entry(name).size
    first = max(size - _LAST_BYTES, 0)
    for line in reversed(store.read_bytes(name, first, size - first).splitlines()):
        try:
            record = json.loads(line)
        except ValueError:  # cut by the bound, or by the end of the machine
            continue
        if isinstance(record, dict) and isinstance(record.get("pools"), dict):
            return record
    return {}


def _of_pool(name: str, state: Mapping[str, Any]) -> PoolCosts:
    given = state.get("counts")
    counts: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    hours = _number(state["worker_seconds"]) / 3600 if "worker_seconds" in state else None
    return PoolCosts(
        name,
        None if hours is None else hours * _number(state.get("cpus")),
        None if hours is None else hours * _number(state.get("gpus")),
        _number(counts.get("tokens_in")),
        _number(counts.get("tokens")),
        added_by_prefix(counts, REQUESTS),
        added_by_prefix(counts, BYTES_IN),
    )


def added_by_prefix(counts: Mapping[str, Any], prefix: str) -> float:
    """Return the sum of the counts whose names begin with `prefix`: those of all sites."""
    return sum(_number(value) for name, value in counts.items() if name.startswith(prefix))


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else 0.0
