"""Stages that do next to nothing, for tests and benchmarks of the runner.

Each leaves one file a shard and attempt in a folder, so that a test sees what ran, how often and when.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from support.waiting import PATIENCE

from runtime.errors import MachineError, UserError
from runtime.ray_runner import progress
from runtime.ray_runner.stage import PoolSettings, ServiceSpec, ShardResult, StageSpec


def stage(name, work, shards, services=(), deaths=3, **pool):
    """A stage whose worker calls ``work(services, shard)`` for each shard."""
    pool = {"cpus": 0.5, **pool}
    return StageSpec(name, partial(_Worker, work), PoolSettings(**pool), shards, services, deaths)


def service(name, build, **pool):
    return ServiceSpec(name, build, PoolSettings(**{"cpus": 0.5, **pool}))


class _Worker:
    def __init__(self, work, services):
        self._work = work
        self._services = services

    async def process(self, shard):
        result = self._work(self._services, shard)
        result = await result if asyncio.iscoroutine(result) else result
        return result if isinstance(result, ShardResult) else ShardResult({"clips": 1.0})


def failing_build(error, services):
    raise error


def broken_stage(name, error, shards):
    return StageSpec(name, partial(failing_build, error), PoolSettings(cpus=0.5), shards)


def nothing(services, shard):
    """No work at all."""


def mark(folder, name, services, shard):
    """Leave a file for this attempt, with the time it began."""
    _mark(folder, name, shard)


def _mark(folder, name, shard):
    _write_whole(Path(folder) / f"{name}-{shard}-{time.time_ns()}-{os.getpid()}", repr(time.monotonic()))


def _write_whole(path: Path, text: str) -> None:
    """Write a file that others look for by its name: they see all of it or nothing."""
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(text)
    hidden.replace(path)


def attempts(folder, name) -> dict[int, list[float]]:
    """When each shard of a stage was begun, by `mark`."""
    found: dict[int, list[float]] = {}
    for path in sorted(Path(folder).glob(f"{name}-*")):
        found.setdefault(int(path.name.split("-")[1]), []).append(float(path.read_text()))
    return found


async def mark_and_wait_for(folder, name, waiting: Sequence[int], other, services, shard):
    """Leave a mark; the shards in `waiting` then go on only when another stage has begun with any."""
    _mark(folder, name, shard)
    if shard in waiting:
        await _until(lambda: attempts(folder, other), f"{name} {shard} waits for {other}")


async def mark_and_wait_for_workers(folder, name, number, services, shard):
    """Leave a mark, and go on when as many workers have left theirs."""
    _mark(folder, name, shard)
    await _until(lambda: len(workers(folder, name)) >= number, f"{name} waits for {number} workers")


def workers(folder, name) -> set[str]:
    """Process ids of the workers that have left marks of a stage."""
    return {path.name.split("-")[3] for path in Path(folder).glob(f"{name}-*")}


async def _until(happened: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"{what}: in vain"
        await asyncio.sleep(0.05)


def exit_status(services, shard):
    status = subprocess.run([sys.executable, "-S", "-c", "raise SystemExit(3)"], check=False).returncode
    return ShardResult({"status": float(status)})


def die_once(folder, name, victims: Sequence[int], services, shard):
    """The first attempt at a victim kills its own process, as a segfault in a decoder would."""
    first = shard not in attempts(folder, name)
    _mark(folder, name, shard)
    if first and shard in victims:
        os.kill(os.getpid(), signal.SIGKILL)


def die_always(victim, services, shard):
    if shard == victim:
        os.kill(os.getpid(), signal.SIGKILL)


def raise_on(victim, error, services, shard):
    if shard == victim:
        raise error


async def sleep_with_child(folder, services, shard):
    """Start a child process that would outlive everything, say so, and sleep."""
    from runtime.processes import start

    child = await asyncio.to_thread(start, [sys.executable, "-c", "import time; time.sleep(600)"])
    _write_whole(Path(folder) / f"pids-{shard}", f"{os.getpid()} {child.pid} {os.getppid()}")
    await asyncio.sleep(600)


async def report_and_wait_until_it_shows(folder, number, services, shard):
    """Wait until `number` shards are in flight, report, and go on when the log tells of clips and no shard is done."""
    _mark(folder, "rewrite", shard)
    await _until(lambda: len(attempts(folder, "rewrite")) == number, f"{number} shards in flight")
    for _ in range(20):
        progress.report({"clips": 1.0})
    await _until(lambda: '"clips": ' in "".join(path.read_text() for path in folder.glob("log/*")), "clips in the log")
    return ShardResult({"clips": 20.0, "failed:network": 2.0})


async def ask(service_name, folder, services, shard):
    _mark(folder, "ask", shard)
    answer = await services[service_name].acall("double", shard)
    return ShardResult({"answer": float(answer)})


class Doubler:
    """An engine; the tests' service."""

    def __init__(self, folder=None):
        self._folder = folder

    async def double(self, number):
        return 2 * number

    def blocking_double(self, number):
        time.sleep(0.5)
        return 2 * number

    def pid(self):
        return os.getpid()

    async def dies_on(self, number, victim, times):
        if number == victim:
            path = Path(self._folder) / "deaths"
            deaths = len(path.read_text()) if path.exists() else 0
            if deaths < times:
                path.write_text("x" * (deaths + 1))
                os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number

    async def no_space(self):
        raise MachineError("no space left in the engine")

    async def bad_argument(self):
        raise ValueError("this is the data's fault")


async def ask_the_mortal(victim, times, services, shard):
    answer = await services["doubler"].acall("dies_on", shard, victim, times)
    return ShardResult({"answer": float(answer)})


async def ask_badly(services, shard):
    caught = {}
    try:
        await services["doubler"].acall("bad_argument")
    except ValueError as error:
        caught["value_error"] = float(str(error) == "this is the data's fault")
    try:
        services["doubler"].call("no_space")
    except MachineError as error:
        caught["machine_error"] = float(str(error) == "no space left in the engine")
    return ShardResult(caught)


def call_blocking(services, shard):
    return ShardResult({"answer": float(services["doubler"].call("double", shard))})


def no_engine():
    raise UserError("engine.model='nowhere': no such model; name one that exists")
