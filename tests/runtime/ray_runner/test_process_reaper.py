"""The reaper: it kills the processes it was given once its standard input closes, and no others."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import until

from runtime.ray_runner.driver import process_reaper
from runtime.ray_runner.driver.process_reaper import start_reaper, start_time

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


def test_a_named_process_is_killed_when_the_driver_has_gone(sleeper: subprocess.Popen[bytes]) -> None:
    reaper = start_reaper([sleeper.pid], seconds=0.1)
    assert reaper.stdin is not None
    reaper.stdin.close()
    assert sleeper.wait() < 0
    assert reaper.wait() == 0


def test_a_process_with_a_reused_id_is_spared(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_reaper, "start_time", lambda pid: "1")  # as kept of an older process
    reaper = start_reaper([sleeper.pid], seconds=0.1)
    assert reaper.stdin is not None
    reaper.stdin.close()
    assert reaper.wait() == 0
    assert sleeper.poll() is None


@pytest.mark.parametrize("killed", [True, False])
def test_rays_folder_is_removed_only_if_the_supervisor_was_killed_too(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    (tmp_path / "ray" / "logs").mkdir(parents=True)
    monkeypatch.setattr("os.getppid", lambda: sleeper.pid)
    reaper = start_reaper([], seconds=0.1, folder=tmp_path / "ray")
    if killed:
        sleeper.kill()
        until(lambda: start_time(sleeper.pid) == "", "the end of the supervisor")
    assert reaper.stdin is not None
    reaper.stdin.close()
    assert reaper.wait() == 0
    assert (tmp_path / "ray").exists() is not killed


def test_the_start_time_of_a_process_that_has_ended_is_empty() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
    assert start_time(process.pid) == ""
    assert start_time(os.getpid()) == start_time(os.getpid()) != ""
