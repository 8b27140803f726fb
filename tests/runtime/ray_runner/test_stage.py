"""Stages and services without a runner: services in this process, table stages as rows, errors of a worker."""

import asyncio
import errno
import threading
import time
from collections.abc import Sequence

import pytest
from support.noop_stages import nothing, stage, table_stage

from runtime.errors import MachineError, UserError
from runtime.ray_runner.reports import BusyClock, failed_shard
from runtime.ray_runner.stage import LocalService, ShardResult
from runtime.ray_runner.table_stage import WHOLE_TABLE, as_row_stages


class Engine:
    """An engine with a coroutine and a blocking method, which counts the blocking calls under way."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0
        self.is_closed = False
        self._lock = threading.Lock()

    async def thread_later(self) -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    def thread(self) -> int:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        time.sleep(0.02)
        with self._lock:
            self.under_way -= 1
        return threading.get_ident()

    def close(self) -> None:
        self.is_closed = True


def test_an_awaited_coroutine_of_a_local_service_runs_in_the_callers_loop() -> None:
    assert asyncio.run(LocalService(Engine()).acall("thread_later")) == threading.get_ident()


def test_an_awaited_blocking_method_of_a_local_service_does_not_block_the_loop() -> None:
    assert asyncio.run(LocalService(Engine()).acall("thread")) != threading.get_ident()


def test_a_local_service_can_be_called_inside_and_outside_a_running_loop() -> None:
    service = LocalService(Engine())

    async def inside() -> tuple[int, int]:
        return service.call("thread"), service.call("thread_later")

    assert service.call("thread") == threading.get_ident()
    assert isinstance(service.call("thread_later"), int)
    blocking, later = asyncio.run(inside())
    assert blocking == threading.get_ident() and later != threading.get_ident()


def test_a_local_service_bounds_its_blocking_calls_and_times_them() -> None:
    engine, clock = Engine(), BusyClock()
    service = LocalService(engine, in_flight=2, clock=clock)

    async def many() -> None:
        await asyncio.gather(*(service.acall("thread") for _ in range(6)))

    asyncio.run(many())
    busy, _ = clock.read()
    assert engine.most == 2
    assert busy > 0


def test_closing_a_local_service_closes_its_engine_if_it_can_be_closed() -> None:
    engine = Engine()
    LocalService(engine).close()
    LocalService(object()).close()
    assert engine.is_closed


def test_a_table_stage_becomes_a_stage_of_one_row_with_one_worker() -> None:
    seen: list[Sequence[int]] = []

    def work(services: object, shards: Sequence[int]) -> ShardResult:
        seen.append(shards)
        return ShardResult({"rows": 5})

    media, dedup = as_row_stages([stage("media", nothing, [3, 4]), table_stage("dedup", work, [3, 4], deaths=1)])
    assert (media.unit, media.shards) == ("shard", [3, 4])
    assert (dedup.unit, dedup.shards, dedup.deaths) == ("table", (WHOLE_TABLE,), 1)
    assert (dedup.pool.min, dedup.pool.max, dedup.pool.in_flight) == (1, 1, 1)
    assert asyncio.run(dedup.build({}).process(WHOLE_TABLE)).counts == {"rows": 5}
    assert seen == [(3, 4)]


def test_a_table_stage_without_shards_has_nothing_to_do() -> None:
    (dedup,) = as_row_stages([table_stage("dedup", nothing, [])])
    assert dedup.shards == ()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MachineError("no space on /data"), "stage media, shard 3: no space on /data"),
        (OSError(errno.ENOSPC, "No space left"), "stage media, shard 3: this machine can't go on (OSError: [Errno 28]"),
        (SystemExit(3), "stage media, shard 3: unexpected (SystemExit: 3)"),
    ],
)
def test_an_error_of_a_worker_names_stage_and_shard(error: BaseException, line: str) -> None:
    failed = failed_shard("media", 3, error)
    assert failed.fatal is not None and failed.fatal.startswith(line)
    assert failed.blame == "machine"


def test_a_users_mistake_keeps_its_message() -> None:
    failed = failed_shard("media", 3, UserError("cookies='x': no such file"))
    assert (failed.fatal, failed.blame) == ("cookies='x': no such file", "user")


def test_an_error_of_a_table_stage_names_no_shard() -> None:
    assert failed_shard("dedup", WHOLE_TABLE, MachineError("no space")).fatal == "stage dedup: no space"
