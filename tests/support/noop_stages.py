"""Stages that do next to nothing, for tests and benchmarks of the runner.

Each leaves one file for each shard and attempt in a folder, so that a test sees what ran, how often and when.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from support.waiting import PATIENCE

from runtime.errors import MachineError, UserError
from runtime.ray_runner.display import progress
from runtime.ray_runner.stage import PoolSettings, Service, ServiceSpec, ShardResult, StageSpec
from runtime.ray_runner.table_stage import TableStageSpec

Services = Mapping[str, Service]


class Work(Protocol):
    """The work of a stage on one shard, or of a table stage on all of them."""

    def __call__(self, services: Services, shard: Any, /) -> ShardResult | Awaitable[ShardResult | None] | None: ...


def stage(
    name: str, work: Work, shards: Sequence[int], services: Sequence[str] = (), deaths: int = 3, **pool: float
) -> StageSpec:
    """A stage whose worker calls ``work(services, shard)`` for each shard."""
    return StageSpec(name, partial(_Worker, work), _pool(pool), shards, services, deaths)


def table_stage(
    name: str, work: Work, shards: Sequence[int], services: Sequence[str] = (), deaths: int = 3
) -> TableStageSpec:
    """A stage whose worker calls ``work(services, shards)`` once."""
    build, output = partial(_Worker, work), f"selections/{name}.parquet"
    return TableStageSpec(name, build, _pool({}), ("media",), output, shards, services, deaths)


def service(name: str, build: Callable[[], Any], **pool: float) -> ServiceSpec:
    """A service of half a CPU."""
    return ServiceSpec(name, build, _pool(pool))


def _pool(settings: Mapping[str, Any]) -> PoolSettings:
    return PoolSettings(**{"cpus": 0.5, **settings})


class _Worker:
    def __init__(self, work: Work, services: Services) -> None:
        self._work = work
        self._services = services

    async def process(self, shard: int) -> ShardResult:
        return await self._result(shard)

    async def process_all(self, shards: Sequence[int]) -> ShardResult:
        return await self._result(shards)

    async def _result(self, shard: Any) -> ShardResult:
        result = self._work(self._services, shard)
        done = result if isinstance(result, ShardResult | None) else await result
        return done if isinstance(done, ShardResult) else ShardResult({"clips": 1.0})


def failing_build(error: Exception, services: Services) -> _Worker:
    """Fail as a worker's constructor."""
    raise error


def broken_stage(name: str, error: Exception, shards: Sequence[int]) -> StageSpec:
    """A stage whose worker can't be built."""
    return StageSpec(name, partial(failing_build, error), PoolSettings(cpus=0.5), shards)


def nothing(services: Services, shard: int) -> None:
    """No work at all."""


def mark(folder: Path, name: str, services: Services, shard: int) -> None:
    """Leave a file for this attempt, with the time it began."""
    _mark(folder, name, shard)


def _mark(folder: Path, name: str, shard: int) -> None:
    _write_whole(Path(folder) / f"{name}-{shard}-{time.time_ns()}-{os.getpid()}", repr(time.monotonic()))


def _write_whole(path: Path, text: str) -> None:
    """Write a file that others look for by its name: they see all of it or nothing."""
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(text)
    hidden.replace(path)


def attempts(folder: Path, name: str) -> dict[int, list[float]]:
    """The times at which each shard of a stage was begun, by `mark`."""
    found: dict[int, list[float]] = {}
    for path in sorted(Path(folder).glob(f"{name}-*")):
        found.setdefault(int(path.name.split("-")[1]), []).append(float(path.read_text()))
    return found


async def mark_and_wait_for(
    folder: Path, name: str, waiting: Sequence[int], other: str, services: Services, shard: int
) -> None:
    """Leave a mark; the shards in `waiting` then go on only when another stage has begun with any."""
    _mark(folder, name, shard)
    if shard in waiting:
        await _until(lambda: attempts(folder, other), f"{name} {shard} waits for {other}")


async def mark_and_wait_for_workers(folder: Path, name: str, number: int, services: Services, shard: int) -> None:
    """Leave a mark, and go on when as many workers have left theirs."""
    _mark(folder, name, shard)
    await _until(lambda: len(workers(folder, name)) >= number, f"{name} waits for {number} workers")


def workers(folder: Path, name: str) -> set[str]:
    """Process ids of the workers that have left marks of a stage."""
    return {path.name.split("-")[3] for path in Path(folder).glob(f"{name}-*")}


async def _until(happened: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"{what}: in vain"
        await asyncio.sleep(0.05)


def exit_status(services: Services, shard: int) -> ShardResult:
    """Count the exit status of a child that ends with 3."""
    status = subprocess.run([sys.executable, "-S", "-c", "raise SystemExit(3)"], check=False).returncode
    return ShardResult({"status": float(status)})


def die_once(folder: Path, name: str, victims: Sequence[int], services: Services, shard: int) -> None:
    """The first attempt at a victim kills its own process, as a segfault in a decoder would."""
    first = shard not in attempts(folder, name)
    _mark(folder, name, shard)
    if first and shard in victims:
        os.kill(os.getpid(), signal.SIGKILL)


def die_always(victim: int, services: Services, shard: int) -> None:
    """Kill the own process at one shard."""
    if shard == victim:
        os.kill(os.getpid(), signal.SIGKILL)


def raise_on(victim: int, error: BaseException, services: Services, shard: int) -> None:
    """Raise at one shard."""
    if shard == victim:
        raise error


def fatal_on(victim: int, services: Services, shard: int) -> ShardResult:
    """Return a fatal result for one shard."""
    return ShardResult({"clips": 1.0}, f"shard {shard}: the disk is full" if shard == victim else None)


def list_marks(folder: Path, name: str, deaths: int, services: Services, shards: Sequence[int]) -> ShardResult:
    """Write a table of the shards that a stage has marked; the first `deaths` attempts die half-way."""
    attempt = len(list(folder.glob(".table-*")))
    (folder / f".table-{attempt}").write_text("half a table")
    if attempt < deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    _write_whole(folder / "table", " ".join(str(shard) for shard in shards if shard in attempts(folder, name)))
    return ShardResult({"rows": float(len(shards))})


async def sleep_with_child(folder: Path, services: Services, shard: int) -> None:
    """Start a child process that would outlive everything, leave its number, and sleep."""
    from runtime.processes import start

    child = await asyncio.to_thread(start, [sys.executable, "-c", "import time; time.sleep(600)"])
    _write_whole(Path(folder) / f"pids-{shard}", f"{os.getpid()} {child.pid} {os.getppid()}")
    await asyncio.sleep(600)


async def block_on_child_then_mark(folder: Path, services: Services, shard: int) -> None:
    """Wait in a thread for a child process that sleeps, and leave a mark however it ends."""
    await asyncio.to_thread(_wait_for_child, folder, shard)


def _wait_for_child(folder: Path, shard: int) -> None:
    from runtime.processes import start

    child = start([sys.executable, "-c", "import time; time.sleep(600)"])
    _write_whole(folder / f"pids-{shard}", f"{os.getpid()} {child.pid} {os.getppid()}")
    child.wait()
    _mark(folder, "committed", shard)


async def report_and_wait_until_it_shows(folder: Path, number: int, services: Services, shard: int) -> ShardResult:
    """Wait until `number` shards are in flight, report, and go on when the log shows clips and no shard is done."""
    _mark(folder, "rewrite", shard)
    await _until(lambda: len(attempts(folder, "rewrite")) == number, f"{number} shards in flight")
    for _ in range(20):
        progress.report({"clips": 1.0})
    await _until(lambda: '"clips": ' in "".join(path.read_text() for path in folder.glob("log/*")), "clips in the log")
    return ShardResult({"clips": 20.0, "failed:network": 2.0})


async def ask(service_name: str, folder: Path, services: Services, shard: int) -> ShardResult:
    """Have a service double the shard's number."""
    _mark(folder, "ask", shard)
    answer = await services[service_name].acall("double", shard)
    return ShardResult({"answer": float(answer)})


class Doubler:
    """An engine; the tests' service. It leaves marks in `folder` when it is built and closed."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        if folder is not None:
            _mark(folder, "built", 0)

    def close(self) -> None:
        """Leave a mark."""
        if self._folder is not None:
            _mark(self._folder, "closed", 0)

    async def double(self, number: int) -> int:
        """Return twice the number."""
        return 2 * number

    def blocking_double(self, number: int) -> int:
        """Return twice the number after half a second."""
        time.sleep(0.5)
        return 2 * number

    def pid(self) -> int:
        """Return the engine's process id."""
        return os.getpid()

    async def dies_on(self, number: int, victim: int, times: int) -> int:
        """Return twice the number; the first `times` calls with `victim` kill the engine's process."""
        if number == victim:
            assert self._folder is not None
            path = self._folder / "deaths"
            deaths = len(path.read_text()) if path.exists() else 0
            if deaths < times:
                path.write_text("x" * (deaths + 1))
                os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number

    async def no_space(self) -> None:
        """Fail as on a full disk."""
        raise MachineError("no space left in the engine")

    async def bad_argument(self) -> None:
        """Fail for the data's fault."""
        raise ValueError("this is the data's fault")


async def ask_the_mortal(victim: int, times: int, services: Services, shard: int) -> ShardResult:
    """Have a `Doubler` that dies double the shard's number."""
    answer = await services["doubler"].acall("dies_on", shard, victim, times)
    return ShardResult({"answer": float(answer)})


async def ask_badly(services: Services, shard: int) -> ShardResult:
    """Count the errors that arrive from a service as they were raised there."""
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


def call_blocking(services: Services, shard: int) -> ShardResult:
    """Have a service double the shard's number, and block."""
    return ShardResult({"answer": float(services["doubler"].call("double", shard))})


async def call_blocking_methods(services: Services, shard: int) -> ShardResult:
    """Call two methods that block, at a time."""
    doubler = services["doubler"]
    both = await asyncio.gather(doubler.acall("blocking_double", shard), doubler.acall("blocking_double", shard))
    return ShardResult({"answer": float(sum(both))})


async def ask_where(folder: Path, services: Services, shard: int) -> ShardResult:
    """Have an `Inhabitant` answer, and leave a mark of both nodes, until there is a file ``quick``."""
    if (folder / "quick").exists():
        return ShardResult({"clips": 1.0})
    host = await services["inhabitant"].acall("where", 0.2)
    _write_whole(folder / f"asked-{shard}-{time.time_ns()}", f"{_node()} {host}")
    return ShardResult({"clips": 1.0})


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


class Inhabitant:
    """An engine that says which node it is on."""

    def where(self, seconds: float) -> str:
        """Return the node's id after some seconds."""
        time.sleep(seconds)
        return _node()


def no_engine() -> Doubler:
    """Fail as an engine's constructor for a mistake of the user."""
    raise UserError("engine.model='nowhere': no such model; name one that exists")
