"""Predicts what a list of videos takes on a cluster, from assumptions and the fitted costs of the driver. Pure.

All stages stream, so that the slowest resource decides how long the run lasts: cores, GPUs, network, the pace at one
site, or the runner. What the driver does alone, before and after, is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

GB: Final = 1e9
TB: Final = 1e12


@dataclass(frozen=True)
class PowerLaw:
    """A cost that grows as a power of the number of sources."""

    at: float
    """Sources at which it was measured."""
    cost: float
    exponent: float

    def of(self, sources: float) -> float:
        """Return the cost of a number of sources."""
        return float(self.cost * (sources / self.at) ** self.exponent)


@dataclass(frozen=True)
class Line:
    """A cost that grows by the same amount with each source."""

    fixed: float
    a_source: float

    def of(self, sources: float) -> float:
        """Return the cost of a number of sources."""
        return self.fixed + self.a_source * sources


@dataclass(frozen=True)
class DriverCosts:
    """Costs of the driver, fitted to measurements (`bench.scale.fit`)."""

    alone_seconds: Mapping[str, PowerLaw]
    """Seconds of each phase in which only the driver works: plan, begin, finish."""
    after_seconds: Mapping[str, PowerLaw]
    """Seconds of what follows when someone asks for it: status, select, dedup."""
    memory_mib: Mapping[str, Line]
    """Peak memory of each phase."""
    requests_a_shard: Mapping[str, float]
    """Calls of the store that workers make for a shard, by kind, in media and one stage of tables together."""
    driver_requests: PowerLaw
    """Requests of the driver in all phases of a run together."""


@dataclass(frozen=True)
class Prediction:
    """What a run takes."""

    hours: Mapping[str, float]
    """Hours that each resource would need, if the others were free."""
    driver_hours: float
    """Hours in which only the driver works, or waits for the store."""
    cpu_hours: Mapping[str, float]
    """By stage."""
    gpu_hours: Mapping[str, float]
    """By stage."""
    gigabytes: Mapping[str, float]
    """Bytes stored, in 10^9, by folder."""
    requests: float
    money: Mapping[str, float]
    """By what is paid for: the hours that are worked, bytes and requests."""
    held_money: float
    """The price of all cores and GPUs from start to end, at work or not."""

    @property
    def bottleneck(self) -> str:
        """The resource that decides."""
        return max(self.hours, key=lambda name: self.hours[name])

    @property
    def total_hours(self) -> float:
        """Hours from start to end."""
        return self.hours[self.bottleneck] + self.driver_hours


SITE: Final = "one site's pace"
TABLE_STAGES: Final = 3
"""Stages that write a table a shard: captions, texts, scores."""


def predict(values: Mapping[str, float], driver: DriverCosts, *, from_site: bool) -> Prediction:
    """Return what the run takes.

    Args:
        values: value of each assumption, by name.
        driver: fitted costs of the driver.
        from_site: the videos are downloaded from one site; otherwise they are read from storage.
    """
    seconds = values["short clips"] * values["seconds of a short clip"]
    clips = values["short clips"] + values["medium clips"] + values["long clips"]
    shards = values["videos"] / values["videos in a shard"]
    busy = values["nodes"] * values["share of time at work"]
    cpu = _cpu_hours(values, seconds)
    gpu = _gpu_hours(values)
    stored = _gigabytes(values, seconds, clips)
    moved = values["bytes of a second of source"] * seconds + 2 * sum(stored.values()) * GB
    hours = {
        "cores": sum(cpu.values()) / (busy * values["cores of a node"]),
        "GPUs": sum(gpu.values()) / (busy * values["GPUs of a node"]),
        "network": moved * 8 / (busy * values["network of a node"] * 1e9) / 3600,
        "runner": shards * (1 + TABLE_STAGES) / values["results a second of the runner"] / 3600,
    }
    if from_site:
        hours[SITE] = values["videos"] / values["starts at a site"] / 3600
    asks = driver.driver_requests.of(values["videos"])
    waits = asks * values["seconds of a request"] / values["requests of the driver at a time"]
    alone = (sum(law.of(values["videos"]) for law in driver.alone_seconds.values()) + waits) / 3600
    requests = _requests(values, driver, shards)
    money = {
        "CPU-hours": sum(cpu.values()) * values["a CPU-hour"],
        "GPU-hours": sum(gpu.values()) * values["a GPU-hour"],
        "a month of storage": sum(stored.values()) * values["a gigabyte-month"],
        "requests": requests / 1e6 * values["a million requests"],
    }
    node = values["cores of a node"] * values["a CPU-hour"] + values["GPUs of a node"] * values["a GPU-hour"]
    held = values["nodes"] * node * (max(hours.values()) + alone)
    return Prediction(hours, alone, cpu, gpu, stored, requests, money, held)


def sensitivity(
    values: Mapping[str, float], driver: DriverCosts, *, from_site: bool
) -> list[tuple[str, tuple[float, float], tuple[float, float]]]:
    """Return for each assumption the hours and the money if it were half and twice as large; largest effects first."""
    rows = []
    for name, value in values.items():
        both = [predict({**values, name: value * factor}, driver, from_site=from_site) for factor in (0.5, 2.0)]
        hours = (both[0].total_hours, both[1].total_hours)
        money = (sum(both[0].money.values()), sum(both[1].money.values()))
        rows.append((name, hours, money))
    return sorted(rows, key=lambda row: -_spread(*row[1]) - _spread(*row[2]))


def _spread(low: float, high: float) -> float:
    return abs(high - low) / max(low, high, 1e-9)


def _cpu_hours(values: Mapping[str, float], seconds: float) -> dict[str, float]:
    return {
        "media": seconds * values["CPU-seconds of a second of media"] / 3600,
        "scores": seconds * values["CPU-seconds of a second of scores"] / 3600,
    }


def _gpu_hours(values: Mapping[str, float]) -> dict[str, float]:
    prompt, answer = values["prompt tokens of a GPU-second"] * 3600, values["answer tokens of a GPU-second"] * 3600
    texts = values["texts to write"]
    return {
        "captions": values["stills to caption"] / values["captions of a GPU-hour"],
        "texts": texts * (values["prompt tokens of a text"] / prompt + values["answer tokens of a text"] / answer),
        "judges": values["clips to judge"] * values["tokens to judge a clip"] / prompt,
    }


def _gigabytes(values: Mapping[str, float], seconds: float, clips: float) -> dict[str, float]:
    return {
        "media": seconds * values["bytes of a second of stored video"] / GB,
        "keyframes": values["stills to caption"] * values["bytes of a keyframe"] / GB,
        "tables of media": clips * values["bytes of a clip in the tables of media"] / GB,
        "captions and texts": clips * values["bytes of text of a clip"] / GB,
    }


def _requests(values: Mapping[str, float], driver: DriverCosts, shards: float) -> float:
    """Return the requests of workers and driver; the tables of each stage are read and written as those of texts."""
    a_shard = sum(
        count * (values["requests to open a table"] if kind == "open" else 1.0)
        for kind, count in driver.requests_a_shard.items()
    )
    return shards * a_shard * (1 + TABLE_STAGES) / 2 + driver.driver_requests.of(values["videos"])
