"""Threads that are stopped: what they wait for ends, their children are killed, and nothing else is started."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from support.waiting import until

from runtime.processes import run
from runtime.stoppable_threads import StoppableThreads, Stopped, stoppable_sleep

LONG = 600.0
REPOSITORY = Path(__file__).parents[2]


def test_a_thread_that_waits_for_a_child_process_is_stopped_and_its_child_is_killed(tmp_path: Path) -> None:
    mark, survived = tmp_path / "mark", tmp_path / "survived"
    code = f"import time; open({str(mark)!r}, 'w'); time.sleep(3); open({str(survived)!r}, 'w')"
    threads = StoppableThreads(1, "test")
    call = threads.submit(run, [sys.executable, "-c", code], timeout=LONG)
    until(mark.exists, "the child")
    began = time.monotonic()
    threads.stop()
    threads.wait()
    assert time.monotonic() - began < 3
    assert isinstance(call.exception(), Stopped)
    time.sleep(3)
    assert not survived.exists()


def test_a_sleeping_thread_is_stopped_and_a_queued_call_is_never_made() -> None:
    threads = StoppableThreads(1, "test")
    sleeping, queued = threads.submit(stoppable_sleep, LONG), threads.submit(stoppable_sleep, LONG)
    until(sleeping.running, "the thread")
    threads.stop()
    threads.wait()
    assert isinstance(sleeping.exception(), Stopped)
    with pytest.raises(CancelledError):
        queued.result()


# In a process of its own, which no tracer watches: CPython 3.11 repeats one step of a traced thread for as long as
# another thread, outside of Python, has an exception to raise; nothing ends that, not even a signal.
_HELD = """
import operator, threading
from runtime.stoppable_threads import StoppableThreads, Stopped

entered, held = threading.Lock(), threading.Lock()
entered.acquire()
held.acquire()
threads = StoppableThreads(1, "test")
call = threads.submit(any, map(operator.call, [entered.release, held.acquire]))  # two steps, and no Python between
entered.acquire()
threads.stop()
threads.wait(seconds=0.1)
assert call.running()
held.release()
threads.wait()
assert isinstance(call.exception(), Stopped)
print("waited no longer")
"""


def test_a_thread_that_runs_no_python_is_waited_for_no_longer_than_asked() -> None:
    ended = subprocess.run([sys.executable, "-c", _HELD], capture_output=True, text=True, timeout=LONG, cwd=REPOSITORY)
    assert ended.stdout == "waited no longer\n", ended.stderr


def test_finished_threads_need_no_stop() -> None:
    threads = StoppableThreads(2, "test")
    call = threads.submit(lambda: 3)
    assert call.result() == 3
    threads.stop()
    threads.wait()
