"""The runner on a real Ray: streaming, turns, tables, services, death of workers and of the driver."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
from support import noop_stages
from support.noop_stages import (
    Doubler,
    Work,
    attempts,
    broken_stage,
    list_marks,
    mark,
    nothing,
    service,
    stage,
    table_stage,
)
from support.processes import below, still_running
from support.waiting import PATIENCE, until

from runtime.errors import UserError
from runtime.ray_runner.cluster import ClusterSettings, connected
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.runner import run_stages
from runtime.ray_runner.stage import ServiceSpec
from runtime.ray_runner.table_stage import WHOLE_TABLE, AnyStageSpec

TESTS = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.ray


class Run(Protocol):
    """`run_stages` on the module's Ray."""

    def __call__(
        self, stages: Sequence[AnyStageSpec], services: Sequence[ServiceSpec] = (), **options: Any
    ) -> RunReport: ...


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One Ray of four logical CPUs for the module; its workers can import what tests import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
        with connected(ClusterSettings(num_cpus=4)):
            yield


@pytest.fixture
def run(ray_here: None) -> Run:
    """Run stages quietly and return the report."""

    def start(stages: Sequence[AnyStageSpec], services: Sequence[ServiceSpec] = (), **options: Any) -> RunReport:
        options = {"log_folder": None, "title": "test", "quiet": True, **options}
        return run_stages(stages, services, cluster=ClusterSettings(), **options)

    return start


def test_ray_is_not_even_imported_when_there_is_nothing_to_do() -> None:
    code = (
        "import sys; from runtime.ray_runner.runner import *; from runtime.ray_runner.stage import *\n"
        "stage = StageSpec('media', None, PoolSettings(), [])\n"
        "report = run_stages([stage], [], cluster=ClusterSettings(), log_folder=None, title='t')\n"
        "assert report.fatal is None and 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=TESTS.parent)


def test_nobody_at_the_address_is_a_users_mistake() -> None:
    code = (
        "from runtime.ray_runner.runner import *; from runtime.ray_runner.stage import *\n"
        "stage = StageSpec('media', None, PoolSettings(), [0])\n"
        "where = ClusterSettings(address='127.0.0.1:9')\n"
        "run_stages([stage], [], cluster=where, log_folder=None, title='t', quiet=True)"
    )
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=TESTS.parent)
    assert "UserError: --address 127.0.0.1:9: no Ray cluster answers there" in failed.stderr


def test_no_helpers_of_a_cluster_are_started(ray_here: None) -> None:
    running = still_running(below(os.getpid()), seconds=0)
    assert any("raylet/raylet " in command for command in running)
    assert not [command for command in running if "/dashboard.py" in command or "monitor.py" in command]


def test_stages_stream_and_each_takes_only_the_shards_it_lists(run: Run, tmp_path: Path) -> None:
    shards = {"media": range(60), "caption": range(15, 60), "rewrite": range(60)}
    works: dict[str, Work] = {name: partial(mark, tmp_path, name) for name in shards}
    works["media"] = partial(noop_stages.mark_and_wait_for, tmp_path, "media", (10,), "rewrite")
    stages = [stage(name, works[name], which) for name, which in shards.items()]
    results: list[tuple[str, int]] = []
    report = run(stages, on_result=lambda name, shard, result: results.append((name, shard)))
    seen = {name: attempts(tmp_path, name) for name in shards}

    assert report.fatal is None and report.streamed
    assert report.done == {name: len(which) for name, which in shards.items()}
    assert report.counts["caption"] == {"clips": 45}
    assert {name: set(tries) for name, tries in seen.items()} == {name: set(which) for name, which in shards.items()}
    assert all(len(tries) == 1 for tries in seen["media"].values())
    assert len(results) == len(set(results)) == 165
    for shard in shards["caption"]:
        assert seen["media"][shard][0] < seen["caption"][shard][0] < seen["rewrite"][shard][0]


def test_stages_take_turns_if_together_they_are_too_large(run: Run, tmp_path: Path) -> None:
    stages = [stage(name, partial(mark, tmp_path, name), range(5), cpus=3) for name in ("media", "rewrite")]
    report = run(stages)
    assert not report.streamed
    assert report.done == {"media": 5, "rewrite": 5}
    last = max(max(tries) for tries in attempts(tmp_path, "media").values())
    assert last < min(min(tries) for tries in attempts(tmp_path, "rewrite").values())


def test_a_table_stage_reads_all_shards_and_a_killed_one_gives_the_same_table(run: Run, tmp_path: Path) -> None:
    results: list[tuple[str, int]] = []
    report = run(
        [
            stage("media", partial(mark, tmp_path, "media"), range(6)),
            table_stage("dedup", partial(list_marks, tmp_path, "media", 2), range(6)),
            stage("rewrite", partial(mark, tmp_path, "rewrite"), range(6)),
        ],
        on_result=lambda name, shard, result: results.append((name, shard)),
    )
    assert report.fatal is None and report.streamed
    assert report.done == {"media": 6, "dedup": 1, "rewrite": 6}
    assert report.counts["dedup"] == {"rows": 6}
    assert (tmp_path / "table").read_text() == "0 1 2 3 4 5"
    assert results[6] == ("dedup", WHOLE_TABLE)


def test_a_table_stage_that_always_dies_ends_the_run_with_one_line(run: Run, tmp_path: Path) -> None:
    report = run([table_stage("dedup", partial(list_marks, tmp_path, "media", 99), range(2), deaths=1)])
    assert report.fatal is not None and "\n" not in report.fatal
    assert report.fatal.startswith("stage dedup: its worker died 2 times on its table")
    assert report.done == {"dedup": 0} and not (tmp_path / "table").exists()


def test_one_worker_has_several_shards_in_flight_and_they_show_before_they_are_done(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.ray_runner.display.progress_view.PLAIN_SECONDS", 0.0)
    work = partial(noop_stages.report_and_wait_until_it_shows, tmp_path, 8)
    report = run([stage("rewrite", work, range(8), in_flight=8)], log_folder=tmp_path / "log")
    (path,) = (tmp_path / "log").glob("*.jsonl")
    pools = [json.loads(text).get("pools", {}).get("rewrite") for text in path.read_text().splitlines()]

    assert report.fatal is None
    assert len(noop_stages.workers(tmp_path, "rewrite")) == 1
    assert any(pool["done"] == 0 and pool["counts"].get("clips", 0) > 0 for pool in pools if pool)
    assert report.counts == {"rewrite": {"clips": 160, "failed:network": 16}}
    assert pools[-1]["failed"] == {"network": 16}
    (trace,) = (tmp_path / "log").glob("*.trace.json")
    spans = [each for each in json.loads(trace.read_text().rstrip(",\n") + "]") if each["ph"] == "X"]
    assert {each["args"]["shard"] for each in spans} == set(range(8)) and len({each["tid"] for each in spans}) == 8


def test_a_pool_grows_to_its_maximum_when_there_is_room(run: Run, tmp_path: Path) -> None:
    work = partial(noop_stages.mark_and_wait_for_workers, tmp_path, "media", 2)
    assert run([stage("media", work, range(24), min=1, max=2)]).fatal is None
    assert len(noop_stages.workers(tmp_path, "media")) == 2


def test_a_workers_child_processes_report_their_exit_status(run: Run) -> None:
    assert run([stage("media", noop_stages.exit_status, range(1))]).counts == {"media": {"status": 3}}


def test_a_killed_worker_loses_nothing_and_repeats_only_its_shard(run: Run, tmp_path: Path) -> None:
    stages = [
        stage("media", partial(noop_stages.die_once, tmp_path, "media", (3, 11)), range(20), min=2, max=2),
        stage("rewrite", partial(mark, tmp_path, "rewrite"), range(20)),
    ]
    results: list[tuple[str, int]] = []
    report = run(stages, on_result=lambda name, shard, result: results.append((name, shard)))
    assert report.fatal is None
    assert report.done == {"media": 20, "rewrite": 20}
    assert len(results) == len(set(results)) == 40
    tries = {shard: len(times) for shard, times in attempts(tmp_path, "media").items()}
    assert tries == {shard: 2 if shard in (3, 11) else 1 for shard in range(20)}


def test_a_shard_that_always_kills_its_worker_ends_the_run_with_one_line(run: Run) -> None:
    report = run([stage("media", partial(noop_stages.die_always, 2), range(4), deaths=1)])
    assert report.fatal is not None and "\n" not in report.fatal
    assert report.fatal.startswith("stage media: its worker died 2 times on shard 2")


def test_an_unexpected_exception_is_fatal_and_its_traceback_is_logged(run: Run, tmp_path: Path) -> None:
    work = partial(noop_stages.raise_on, 1, KeyError("surprise"))
    report = run([stage("media", work, range(3))], log_folder=tmp_path)
    assert report.fatal == "stage media, shard 1: unexpected (KeyError: 'surprise')"
    (path,) = tmp_path.glob("*.jsonl")
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    (fatal,) = (line for line in lines if line["event"] == "fatal")
    assert "raise_on" in fatal["trace"] and fatal["shard"] == 1
    assert lines[-1]["event"] == "end" and lines[-1]["status"] == report.fatal


def test_a_users_mistake_seen_while_a_worker_starts_is_raised_as_such(run: Run) -> None:
    stages = [stage("media", nothing, range(3)), broken_stage("rewrite", UserError("model='x': no such"), range(3))]
    with pytest.raises(UserError, match="model='x': no such"):
        run(stages)


def test_stages_call_services_blocking_or_not(run: Run, tmp_path: Path) -> None:
    stages = [
        stage("caption", noop_stages.call_blocking, range(6), services=("doubler",)),
        stage("rewrite", partial(noop_stages.ask, "doubler", tmp_path), range(6), ("doubler",), in_flight=3),
    ]
    report = run(stages, [service("doubler", Doubler, in_flight=4), service("unused", noop_stages.no_engine)])
    assert report.fatal is None
    assert report.counts == {"caption": {"answer": 30}, "rewrite": {"answer": 30}}


def test_an_engine_that_dies_is_started_again_and_its_calls_are_made_again(run: Run, tmp_path: Path) -> None:
    stages = [stage("rewrite", partial(noop_stages.ask_the_mortal, 2, 2), range(5), ("doubler",), in_flight=5)]
    report = run(stages, [service("doubler", partial(Doubler, tmp_path), in_flight=5)])
    assert report.fatal is None
    assert report.counts == {"rewrite": {"answer": 20}}


def test_an_engine_that_dies_for_ever_ends_the_run_with_one_line(run: Run, tmp_path: Path) -> None:
    stages = [stage("rewrite", partial(noop_stages.ask_the_mortal, 2, 99), range(5), ("doubler",))]
    report = run(stages, [service("doubler", partial(Doubler, tmp_path))])
    assert report.fatal is not None and "\n" not in report.fatal
    assert "service doubler: its process died 4 times" in report.fatal


def test_errors_of_a_service_reach_its_caller_with_their_own_type(run: Run) -> None:
    report = run([stage("rewrite", noop_stages.ask_badly, range(1), ("doubler",))], [service("doubler", Doubler)])
    assert report.counts == {"rewrite": {"value_error": 1, "machine_error": 1}}


def test_a_service_that_cannot_be_built_ends_the_run_with_its_line(run: Run, tmp_path: Path) -> None:
    stages = [stage("rewrite", partial(noop_stages.ask, "doubler", tmp_path), range(2), ("doubler",))]
    with pytest.raises(UserError, match=r"engine\.model='nowhere': no such model"):
        run(stages, [service("doubler", noop_stages.no_engine)])


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`support.runner_driver` as a process of its own, whose two workers sleep beside a child process each."""
    with subprocess.Popen(
        [sys.executable, str(TESTS / "support" / "runner_driver.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        cwd=TESTS.parent,
    ) as process:
        try:
            until(lambda: process.poll() is not None or len(list(tmp_path.glob("pids-*"))) == 2, "the driver's workers")
            assert process.poll() is None, "the driver ended before its workers came up"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_ctrl_c_or_sigterm_stops_cleanly_and_leaves_no_process(
    driver: subprocess.Popen[bytes], tmp_path: Path, number: signal.Signals
) -> None:
    processes = below(driver.pid)
    driver.send_signal(number)
    status = driver.wait(timeout=PATIENCE)
    assert json.loads((tmp_path / "report.json").read_text()) == {"interrupted": True, "fatal": None}
    assert status == 130
    assert processes and still_running(processes) == []


def test_a_driver_killed_outright_leaves_no_process(driver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    processes = below(driver.pid)
    named = {int(pid) for path in tmp_path.glob("pids-*") for pid in path.read_text().split()[:2]}
    assert named <= {process.pid for process in processes}
    driver.kill()
    driver.wait()
    assert still_running(processes) == []
