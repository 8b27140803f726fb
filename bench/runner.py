"""The runner with stages that do nothing against Ray Data with its defaults: streaming, rate, start.

    python -m bench.runner                 # 1,000 shards through three stages, as a Markdown table
    python -m bench.runner --shards 200 --runs 1
    python -m bench.runner --memory        # growth of the driver's memory with the number of shards

Targets: with 1,000 empty shards, 100 shards a second or more, and the last stage begins before 5 % of the first is
done; the driver's memory grows by a few bytes a shard. The alternative is the obvious one: ``from_items(shards)`` and
three ``map_batches(...)`` with actor pools and default settings. Both use one Ray with four logical CPUs in this
process; runs alternate; medians are shown. For a finished DIR the plan calls the runner with no shards, which is timed
here too.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from runtime.ray_runner.cluster import ClusterSettings, connected
from runtime.ray_runner.runner import run_stages
from runtime.ray_runner.stage import PoolSettings, Service, ShardResult, StageSpec

STAGES = ("media", "caption", "rewrite")


@dataclass(frozen=True)
class Run:
    """One run of all shards through all stages."""

    first_done_before_last_began: float
    """Share of the first stage's shards, 0 to 1."""
    shards_per_second: float
    """From the start of the first shard to the end of the last one."""
    start_seconds: float
    """From the call to the start of the first shard, with Ray running."""


class Marker:
    """Work that only appends the time of its end to a file of its own."""

    def __init__(self, folder: Path, stage: str) -> None:
        self._file = (folder / f"{stage}-{os.getpid()}").open("a", buffering=1)

    def mark(self) -> None:
        """Record that one shard is done."""
        self._file.write(f"{time.monotonic()}\n")


class NoWork:
    """A stage's worker without work."""

    def __init__(self, folder: Path, stage: str) -> None:
        self._marker = Marker(folder, stage)

    async def process(self, shard: int) -> ShardResult:
        """Record the time."""
        self._marker.mark()
        return ShardResult({"clips": 1})


class PlainStage:
    """The same work as a callable class for Ray Data."""

    def __init__(self, folder: Path, stage: str) -> None:
        self._marker = Marker(folder, stage)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Record the time of each row."""
        for _ in batch["item"]:
            self._marker.mark()
        return batch


def _build(folder: Path, stage: str, services: Mapping[str, Service]) -> NoWork:
    return NoWork(folder, stage)


def ours(shards: int, folder: Path) -> None:
    """Run all shards through this project's runner."""
    stages = [StageSpec(name, partial(_build, folder, name), PoolSettings(), range(shards)) for name in STAGES]
    report = run_stages(stages, [], cluster=ClusterSettings(), log_folder=None, title="bench", quiet=True)
    assert report.done == dict.fromkeys(STAGES, shards), report


def plain(shards: int, folder: Path) -> None:
    """Run all shards through Ray Data with its defaults."""
    import ray

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.from_items(list(range(shards)))
    for name in STAGES:
        pool = ray.data.ActorPoolStrategy(size=1)
        dataset = dataset.map_batches(PlainStage, fn_constructor_args=(folder, name), compute=pool, num_cpus=1)
    assert sum(len(batch["item"]) for batch in dataset.iter_batches()) == shards


def measure(way: Callable[[int, Path], None], shards: int) -> Run:
    """Run once and read the marks."""
    with tempfile.TemporaryDirectory() as name:
        called = time.monotonic()
        way(shards, Path(name))
        marks = {stage: _marks(Path(name), stage) for stage in STAGES}
    first, last = marks[STAGES[0]], marks[STAGES[-1]]
    assert len(first) == len(last) == shards
    return Run(
        first_done_before_last_began=sum(t < last[0] for t in first) / shards,
        shards_per_second=shards / (last[-1] - first[0]),
        start_seconds=first[0] - called,
    )


def memory_per_shard(shards: int) -> float:
    """Return the bytes by which this process's data are larger, at most, for each further shard of a run."""
    few = shards // 10
    smaller, larger = _largest_size(few), _largest_size(shards)
    return (larger - smaller) / (shards - few)


def _largest_size(shards: int) -> int:
    process, ended, sizes = psutil.Process(), threading.Event(), [0]

    def look() -> None:
        while not ended.wait(0.1):
            sizes[0] = max(sizes[0], process.memory_info().data)  # the resident part depends on other processes

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    with tempfile.TemporaryDirectory() as name:
        ours(shards, Path(name))
    ended.set()
    looking.join()
    return sizes[0]


def _marks(folder: Path, stage: str) -> list[float]:
    return sorted(float(line) for path in folder.glob(f"{stage}-*") for line in path.read_text().splitlines())


def table(results: Mapping[str, Sequence[Run]], shards: int, connect: float, nothing: float) -> str:
    """Return the medians as Markdown."""

    def median(runs: Sequence[Run], field: str) -> float:
        return float(statistics.median(getattr(run, field) for run in runs))

    lines = [
        f"{shards} shards of no work, three stages, {os.cpu_count()} cores ({platform.machine()}), "
        f"median of {len(next(iter(results.values())))}",
        "",
        "| | first stage done when the last begins | shards/s | start, s |",
        "|---|---|---|---|",
    ]
    for name, runs in results.items():
        share, rate, start = (
            median(runs, field) for field in ("first_done_before_last_began", "shards_per_second", "start_seconds")
        )
        lines.append(f"| {name} | {share:.1%} | {rate:.0f} | {start:.1f} |")
    lines += [
        "",
        f"Ray in this process: up in {connect:.1f} s. No shards at all: {1000 * nothing:.1f} ms, without Ray.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
    if options.memory:
        with connected(ClusterSettings(num_cpus=4)):
            print(f"{memory_per_shard(options.shards):.0f} bytes a shard, up to {options.shards}")
        return
    begun = time.monotonic()
    idle = StageSpec("media", partial(_build, Path(), "media"), PoolSettings(), ())
    run_stages([idle], [], cluster=ClusterSettings(), log_folder=None, title="bench")
    nothing = time.monotonic() - begun
    begun = time.monotonic()
    results: dict[str, list[Run]] = {"this runner": [], "Ray Data's defaults": []}
    with connected(ClusterSettings(num_cpus=4)):
        connect = time.monotonic() - begun
        for _ in range(options.runs):
            results["this runner"].append(measure(ours, options.shards))
            results["Ray Data's defaults"].append(measure(plain, options.shards))
    print(table(results, options.shards, connect, nothing))


if __name__ == "__main__":
    main()
