"""Calls in a helper process: results and errors come back, limits end it, and the next call works."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import psutil
import pytest
from support.processes import still_running
from support.waiting import PATIENCE

from curation.sources.ledger import SourceFailed
from runtime.children.helper_process import HelperFailed, HelperProcess

MEMORY = 512 << 20


@pytest.fixture(scope="module")
def helper() -> Iterator[HelperProcess]:
    """A helper that can import this file."""
    process = HelperProcess(MEMORY)
    folders = [str(Path(__file__).parent), *map(str, Path(__file__).parents[2:3])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")]))
        yield process
        process.close()


def fail_source() -> None:
    raise SourceFailed("corrupt", "why")


def fail_unpicklably() -> None:
    class Local(Exception):
        pass

    raise Local("told")


def fail_like_libav() -> None:
    raise av.error.MemoryError(12, "Cannot allocate memory")


def hog(megabytes: int) -> int:
    return len(b"x" * (megabytes << 20))


def spin() -> None:
    while True:
        pass


def test_one_process_answers_all_calls(helper: HelperProcess) -> None:
    pids = {helper.call(PATIENCE, os.getpid) for _ in range(3)}
    assert len(pids) == 1 and os.getpid() not in pids
    assert helper.call(PATIENCE, divmod, 7, 2) == (3, 1)


def test_an_error_comes_back_as_it_is(helper: HelperProcess) -> None:
    with pytest.raises(SourceFailed, match="why") as caught:
        helper.call(PATIENCE, fail_source)
    assert caught.value.class_ == "corrupt"
    with pytest.raises(FileNotFoundError):
        helper.call(PATIENCE, os.stat, "/no/such/file")
    with pytest.raises(RuntimeError, match=r"Local.*told"):
        helper.call(PATIENCE, fail_unpicklably)


def test_a_call_that_takes_too_long_is_ended_and_the_next_one_works(helper: HelperProcess) -> None:
    pid = helper.call(PATIENCE, os.getpid)
    process = psutil.Process(pid)
    with pytest.raises(HelperFailed, match=r"took longer than 0\.3 s"):
        helper.call(0.3, spin)
    assert not still_running([process])
    assert helper.call(PATIENCE, os.getpid) != pid


def test_a_call_that_needs_too_much_memory_fails_and_the_next_one_works(helper: HelperProcess) -> None:
    assert helper.call(PATIENCE, hog, 100) == 100 << 20
    for _ in range(2):
        with pytest.raises(HelperFailed, match="more than 512 MiB of memory"):
            helper.call(PATIENCE, hog, 600)
    assert helper.call(PATIENCE, hog, 100) == 100 << 20


def test_an_allocation_that_libav_could_not_make_is_no_fault_of_the_machine(helper: HelperProcess) -> None:
    with pytest.raises(HelperFailed, match="memory"):
        helper.call(PATIENCE, fail_like_libav)


def test_a_crash_is_reported_and_the_next_call_works(helper: HelperProcess) -> None:
    with pytest.raises(HelperFailed, match=r"crashed .*signal 11"):
        helper.call(PATIENCE, signal.raise_signal, signal.SIGSEGV)
    with pytest.raises(HelperFailed, match=r"crashed .*status 7"):
        helper.call(PATIENCE, os._exit, 7)
    assert helper.call(PATIENCE, abs, -1) == 1


def test_a_helper_whose_starting_thread_has_ended_is_replaced() -> None:
    helper = HelperProcess(MEMORY)
    pids: list[int] = []
    thread = threading.Thread(target=lambda: pids.append(helper.call(PATIENCE, os.getpid)))
    thread.start()
    thread.join(PATIENCE)
    while psutil.pid_exists(pids[0]) and psutil.Process(pids[0]).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert helper.call(PATIENCE, os.getpid) != pids[0]
    helper.close()
