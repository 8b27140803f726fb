"""Stages without Ray: the same counts and records as with it, exceptions that propagate, and clean ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import noop_stages
from support.noop_stages import Doubler, attempts, broken_stage, list_marks, mark, nothing, service, stage, table_stage
from support.processes import below, still_running
from support.waiting import PATIENCE, until

from runtime.errors import UserError
from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.runner import run_stages
from runtime.ray_runner.stage import ServiceSpec, ShardResult
from runtime.ray_runner.table_stage import WHOLE_TABLE, AnyStageSpec

TESTS = Path(__file__).parent.parent.parent


def run(stages: Sequence[AnyStageSpec], services: Sequence[ServiceSpec] = (), **options: Any) -> RunReport:
    """Run stages in this process, quietly."""
    options = {"log_folder": None, "title": "test", "quiet": True, **options}
    return run_stages(stages, services, cluster=ClusterSettings(address="local"), **options)


def log_of(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("*.jsonl")
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_each_stage_takes_the_shards_it_lists_and_reports_them_once(tmp_path: Path) -> None:
    shards = {"media": range(6), "caption": range(2, 6), "rewrite": range(6)}
    results: list[tuple[str, int]] = []
    report = run(
        [stage(name, partial(mark, tmp_path, name), which) for name, which in shards.items()],
        on_result=lambda name, shard, result: results.append((name, shard)),
    )
    assert report.fatal is None and not report.streamed
    assert report.done == {"media": 6, "caption": 4, "rewrite": 6}
    assert report.counts["caption"] == {"clips": 4}
    assert results == [(name, shard) for name, which in shards.items() for shard in which]
    assert {name: set(attempts(tmp_path, name)) for name in shards} == {n: set(which) for n, which in shards.items()}


def test_ray_is_not_imported() -> None:
    code = (
        "import sys\nfrom support.noop_stages import *\nfrom runtime.ray_runner.runner import *\n"
        "report = run_stages([stage('media', nothing, range(2))], [], cluster=ClusterSettings(address='local'),"
        " log_folder=None, title='t')\n"
        "assert report.done == {'media': 2} and 'ray' not in sys.modules"
    )
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()
    assert b"starting media" in ended.stderr


def test_stages_call_services_blocking_or_not(tmp_path: Path) -> None:
    stages = [
        stage("media", nothing, range(2)),
        stage("caption", noop_stages.call_blocking, range(6), services=("doubler",)),
        stage("rewrite", partial(noop_stages.ask, "doubler", tmp_path), range(6), ("doubler",)),
        stage("claims", noop_stages.call_blocking_methods, range(1, 2), ("doubler",)),
    ]
    report = run(stages, [service("doubler", Doubler, in_flight=4), service("unused", noop_stages.no_engine)])
    assert report.counts == {
        "media": {"clips": 2},
        "caption": {"answer": 30},
        "rewrite": {"answer": 30},
        "claims": {"answer": 4},
    }


def test_errors_of_a_service_reach_its_caller_with_their_own_type() -> None:
    report = run([stage("rewrite", noop_stages.ask_badly, range(1), ("doubler",))], [service("doubler", Doubler)])
    assert report.counts == {"rewrite": {"value_error": 1, "machine_error": 1}}


def test_a_service_is_built_once_and_closed_after_the_last_stage_that_calls_it(tmp_path: Path) -> None:
    ask = partial(noop_stages.ask, "doubler", tmp_path)
    stages = [
        stage("caption", ask, range(2), ("doubler",)),
        stage("rewrite", ask, range(2), ("doubler",)),
        stage("last", partial(mark, tmp_path, "last"), range(1)),
    ]
    assert run(stages, [service("doubler", partial(Doubler, tmp_path))]).fatal is None
    (built,), (closed,) = attempts(tmp_path, "built")[0], attempts(tmp_path, "closed")[0]
    asked = [time for times in attempts(tmp_path, "ask").values() for time in times]
    assert built < min(asked) and max(asked) < closed < attempts(tmp_path, "last")[0][0]


def test_work_on_a_shard_is_logged_before_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.ray_runner.display.progress_view.PLAIN_SECONDS", 0.0)
    work = partial(noop_stages.report_and_wait_until_it_shows, tmp_path, 1)
    report = run([stage("rewrite", work, range(1))], log_folder=tmp_path / "log")
    lines = log_of(tmp_path / "log")
    pools = [line["pools"]["rewrite"] for line in lines if "pools" in line]
    assert report.counts == {"rewrite": {"clips": 20, "failed:network": 2}}
    assert any(pool["done"] == 0 and pool["counts"].get("clips") == 20 for pool in pools)
    assert (lines[0]["event"], lines[-1]["event"], lines[-1]["status"]) == ("start", "end", "done")


def test_what_a_worker_raises_propagates_after_the_log_and_the_services_are_closed(tmp_path: Path) -> None:
    work = partial(noop_stages.raise_on, 1, KeyError("surprise"))
    with pytest.raises(KeyError, match="surprise") as caught:
        run(
            [stage("media", work, range(3), ("doubler",))],
            [service("doubler", partial(Doubler, tmp_path))],
            log_folder=tmp_path / "log",
        )
    assert "raise_on" in [entry.name for entry in caught.traceback]
    lines = log_of(tmp_path / "log")
    (fatal,) = (line for line in lines if line["event"] == "fatal")
    assert "raise_on" in fatal["trace"] and fatal["shard"] == 1
    assert fatal["line"] == "stage media, shard 1: unexpected (KeyError: 'surprise')"
    assert (lines[-1]["event"], lines[-1]["status"]) == ("end", "KeyError: 'surprise'")
    assert lines[-1]["pools"]["media"]["done"] == 1
    assert len(attempts(tmp_path, "closed")) == 1


def test_a_fatal_result_ends_the_run_with_its_line() -> None:
    report = run([stage("media", partial(noop_stages.fatal_on, 2), range(4)), stage("rewrite", nothing, range(4))])
    assert report.fatal == "shard 2: the disk is full"
    assert report.done == {"media": 2, "rewrite": 0}


def test_a_users_mistake_in_a_constructor_propagates() -> None:
    with pytest.raises(UserError, match="model='x': no such"):
        run([stage("media", nothing, range(1)), broken_stage("rewrite", UserError("model='x': no such"), range(3))])
    with pytest.raises(UserError, match=r"engine\.model='nowhere'"):
        run([stage("media", nothing, range(1), ("doubler",))], [service("doubler", noop_stages.no_engine)])


def test_ctrl_c_in_a_worker_ends_the_run_as_interrupted(tmp_path: Path) -> None:
    work = partial(noop_stages.raise_on, 1, KeyboardInterrupt())
    stages = [stage("media", work, range(3), ("doubler",))]
    report = run(stages, [service("doubler", partial(Doubler, tmp_path))])
    assert report.interrupted and report.fatal is None
    assert report.done == {"media": 1}
    assert len(attempts(tmp_path, "closed")) == 1


def test_a_table_stage_runs_once_after_the_stages_before_it(tmp_path: Path) -> None:
    results: list[tuple[str, int, ShardResult]] = []
    report = run(
        [
            stage("media", partial(mark, tmp_path, "media"), range(3)),
            table_stage("dedup", partial(list_marks, tmp_path, "media", 0), range(3)),
            stage("rewrite", partial(mark, tmp_path, "rewrite"), range(3)),
        ],
        on_result=lambda *result: results.append(result),
    )
    assert report.done == {"media": 3, "dedup": 1, "rewrite": 3}
    assert report.counts["dedup"] == {"rows": 3}
    assert (tmp_path / "table").read_text() == "0 1 2"
    assert results[3][:2] == ("dedup", WHOLE_TABLE)


def test_a_table_stage_that_is_up_to_date_is_skipped(tmp_path: Path) -> None:
    report = run([table_stage("dedup", partial(list_marks, tmp_path, "media", 0), ())])
    assert report.done == {}


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`support.runner_driver` without Ray, whose worker waits in a thread for a child process."""
    with subprocess.Popen(
        [sys.executable, str(TESTS / "support" / "runner_driver.py"), str(tmp_path), "local"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        cwd=TESTS.parent,
    ) as process:
        try:
            until(lambda: process.poll() is not None or list(tmp_path.glob("pids-*")), "the driver's worker")
            assert process.poll() is None, "the driver ended before its worker came up"
            yield process
        finally:
            process.kill()


def test_ctrl_c_ends_threads_and_children_and_commits_nothing(driver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    processes = below(driver.pid)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=PATIENCE) == 130
    assert json.loads((tmp_path / "report.json").read_text()) == {"interrupted": True, "fatal": None}
    assert attempts(tmp_path, "committed") == {}
    assert len(attempts(tmp_path, "closed")) == 1
    assert processes and still_running(processes) == []


def test_sigterm_closes_everything_and_exits_with_143(driver: subprocess.Popen[bytes], tmp_path: Path) -> None:
    processes = below(driver.pid)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(timeout=PATIENCE) == 143
    assert attempts(tmp_path, "committed") == {}
    assert len(attempts(tmp_path, "closed")) == 1
    assert log_of(tmp_path / "log")[-1]["status"] == "stopped by SIGTERM"
    assert processes and still_running(processes) == []
