import json
import subprocess
import sys
import time
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.waiting import until

from shards.errors import ShardError
from shards.storage.dir_lock import DirLock, LockedError, LockOwner, read_lock
from shards.storage.store import Store


@pytest.fixture(params=["folder", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "dir" if request.param == "folder" else f"memory://{uuid.uuid4().hex}")


def _write(store: Store, owner: LockOwner) -> None:
    store.commit_bytes(json.dumps(asdict(owner)).encode(), ".lock")


def _ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    process.wait()
    return process.pid


def test_a_second_run_is_refused_with_owner_start_and_remedy(store: Store) -> None:
    with DirLock(store), pytest.raises(LockedError) as refusal, DirLock(store):
        pass
    message = str(refusal.value)
    assert "\n" not in message
    for part in (LockOwner.here().host, str(LockOwner.here().pid), "since 20", "delete", ".lock"):
        assert part in message


def test_the_lock_is_gone_after_the_block_even_when_it_fails(store: Store) -> None:
    with pytest.raises(RuntimeError), DirLock(store):
        raise RuntimeError
    assert read_lock(store) is None
    with DirLock(store):
        assert read_lock(store) is not None


def test_the_heartbeat_refreshes_the_lock(store: Store) -> None:
    with DirLock(store, beat_seconds=0.02):
        first = read_lock(store).beat
        until(lambda: read_lock(store).beat > first, "a heartbeat")


def test_the_lock_of_a_process_that_was_killed_is_taken_over(store: Store) -> None:
    _write(store, replace(LockOwner.here(), pid=_ended_process(), token="old"))
    with DirLock(store):
        assert read_lock(store).pid == LockOwner.here().pid


def test_a_lock_without_heartbeat_is_taken_over(store: Store) -> None:
    _write(store, replace(LockOwner.here(), host="elsewhere", token="old", beat=time.time() - 100))
    with DirLock(store, beat_seconds=0.05):
        assert read_lock(store).host == LockOwner.here().host


def test_a_lock_whose_last_heartbeat_is_in_the_future_is_taken_over(store: Store) -> None:
    _write(store, replace(LockOwner.here(), host="elsewhere", token="old", beat=time.time() + 10_000))
    with DirLock(store, beat_seconds=0.05):
        assert read_lock(store).host == LockOwner.here().host


def test_a_lock_on_another_host_that_beats_is_respected(store: Store) -> None:
    _write(store, replace(LockOwner.here(), host="elsewhere", pid=_ended_process(), token="old"))
    with pytest.raises(LockedError, match="elsewhere"), DirLock(store):
        pass


def test_a_lock_that_beats_under_a_slow_clock_is_respected(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with DirLock(store, beat_seconds=0.02):
        first = read_lock(store).beat
        waits = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            until(lambda: read_lock(store).beat > first, "a heartbeat")

        monkeypatch.setattr("shards.storage.dir_lock.time", SimpleNamespace(**vars(time) | {"sleep": wait}))
        with pytest.raises(LockedError):
            DirLock(store, beat_seconds=7, stale_after=-1).__enter__()
    assert waits == [14], "two beats"


def test_a_run_that_lost_its_lock_learns_of_it_and_leaves_the_new_one(store: Store) -> None:
    calls = []
    with DirLock(store, beat_seconds=0.02, on_lost=lambda: calls.append("lost")) as lock:

        def learned() -> list[str]:
            if read_lock(store).token != "new":  # at first, and where a heartbeat that had looked came after us
                _write(store, replace(LockOwner.here(), token="new"))
            return calls

        until(learned, "a heartbeat that finds another's lock")
        assert lock.lost
    assert calls == ["lost"]
    assert read_lock(store).token == "new"


def test_an_unreadable_lock_is_one_clear_line(store: Store) -> None:
    store.commit_bytes(b"what", ".lock")
    with pytest.raises(ShardError, match="delete it if no run"), DirLock(store):
        pass
