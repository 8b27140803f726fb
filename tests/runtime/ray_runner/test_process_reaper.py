"""The reaper: it kills the processes it was given once its standard input closes, and no others."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

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


def test_the_start_time_of_a_process_that_has_ended_is_empty() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
    assert start_time(process.pid) == ""
    assert start_time(os.getpid()) == start_time(os.getpid()) != ""
