"""A lock that ends with its process."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from runtime.errors import UserError
from runtime.file_lock import exclusive_lock

HOLD = """
import sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
input()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds `tmp_path/lock`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], **pipes) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_lock_of_another_process_is_refused_with_the_given_message(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with (
        pytest.raises(UserError, match="somebody writes there"),
        exclusive_lock(tmp_path / "lock", "somebody writes there"),
    ):
        pytest.fail("two are in")


def test_a_killed_holder_holds_nothing(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    with exclusive_lock(tmp_path / "lock", "somebody writes there"):
        assert (tmp_path / "lock").exists()


def test_it_can_be_taken_again_after_a_fault_inside(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside"), exclusive_lock(tmp_path / "lock", "taken"):
        raise RuntimeError("inside")
    with exclusive_lock(tmp_path / "lock", "taken"):
        pass


def test_a_file_system_without_locks_is_named_and_does_not_stop_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(self: FileLock, timeout: float) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    said = []
    monkeypatch.setattr(FileLock, "acquire", none)
    monkeypatch.setattr("runtime.file_lock._log.warning", lambda text, *values: said.append(text % values))
    with exclusive_lock(tmp_path / "lock", "taken"):
        pass
    assert said == [f"{tmp_path}: this file system has no locks; make sure that no other process writes there"]


def test_another_fault_is_not_taken_for_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: FileLock, timeout: float) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileLock, "acquire", full)
    with pytest.raises(OSError, match="No space left"), exclusive_lock(tmp_path / "lock", "taken"):
        pytest.fail("nothing is held")
