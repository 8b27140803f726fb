"""An object store that fails: what passes is waited out, a refusal is reported at once, no write counts twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.faulty_s3 import FAULTS, Fault, FaultyS3
from support.s3_server import BUCKET
from support.waiting import until

from shards.storage.dir_lock import DirLock, LockedError, LockOwner, read_lock
from shards.storage.remote_filesystem import remote_filesystem
from shards.storage.storage_errors import StorageError
from shards.storage.store import Store

_MB = 1 << 20


@pytest.fixture
def store(remote: Store) -> Store:
    remote.commit_bytes(b"0123456789", "a")
    return remote


def _succeeded(call: Callable[[int], object], number: int) -> bool:
    try:
        call(number)
    except (FileExistsError, LockedError):
        return False
    return True


def _uploads(store: Store) -> list[str]:
    """Return the keys of unfinished uploads."""
    return [upload["Key"] for upload in remote_filesystem(store.root)[0].list_multipart_uploads(BUCKET)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_not_seen_by_the_caller(proxy: FaultyS3, store: Store, fault: Fault) -> None:
    met = proxy.failed[fault]
    proxy.next_faults += [fault]
    store.commit_bytes(b"new", "b")
    proxy.next_faults += [fault]
    assert store.read_bytes("a", 2, 3) == b"234"
    proxy.next_faults += [fault]
    assert sorted(store.list()) == ["a", "b"]
    proxy.next_faults += [fault]
    assert store.exists("b")
    assert proxy.failed[fault] == met + 4


def test_refused_access_is_reported_without_another_attempt(proxy: FaultyS3, store: Store) -> None:
    before = len(proxy.requests)
    proxy.next_faults += ["refused"]
    with pytest.raises(StorageError, match="access is refused"):
        store.read_bytes("a")
    assert len(proxy.requests) == before + 1


def test_an_upload_that_arrived_but_was_not_answered_is_not_taken_for_anothers(proxy: FaultyS3, store: Store) -> None:
    proxy.next_faults += [None, "lost"]  # the look comes first
    token = store.create("mine", b"my own data")
    assert proxy.count("PUT", "/mine") == 2
    assert store.entry("mine").token == token


def test_of_many_that_create_a_file_at_once_one_succeeds(store: Store) -> None:
    def create(number: int) -> bool:
        return _succeeded(lambda number: store.create("one", str(number).encode()), number)

    with ThreadPoolExecutor(8) as pool:
        succeeded = list(pool.map(create, range(8)))
    assert succeeded.count(True) == 1
    assert store.read_bytes("one") == str(succeeded.index(True)).encode()


def test_a_file_that_was_written_anew_is_not_replaced(store: Store) -> None:
    token = store.entry("a").token
    new = store.replace("a", b"second", token)
    assert new == store.entry("a").token
    with pytest.raises(FileExistsError):
        store.replace("a", b"third", token)
    store.delete("a")
    with pytest.raises(FileNotFoundError):
        store.replace("a", b"third", new)
    assert not store.exists("a")


def _large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that is uploaded in three parts."""
    monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda *_, **__: 5 * _MB)
    path = tmp_path / "large"
    path.write_bytes(bytes(11 * _MB))
    return path


def test_a_large_file_is_uploaded_in_parts_and_a_part_that_fails_again(
    proxy: FaultyS3, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = proxy.count("PUT", "partNumber=")
    proxy.next_faults += [None, "error", "reset"]
    store.commit(_large_file(tmp_path, monkeypatch), "large")
    assert store.entry("large").size == 11 * _MB
    assert _uploads(store) == []
    assert proxy.count("PUT", "partNumber=") == before + 5


def test_an_upload_in_parts_that_is_given_up_leaves_no_parts(
    proxy: FaultyS3, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.next_faults += [None, "refused"]
    local = _large_file(tmp_path, monkeypatch)
    with pytest.raises(StorageError, match="access is refused"):
        store.commit(local, "large")
    assert _uploads(store) == []
    assert not store.exists("large") and local.exists()


def test_the_parts_that_a_killed_run_left_are_swept(store: Store) -> None:
    filesystem, path = remote_filesystem(store.path("media/0.tar"))
    bucket, key, _ = filesystem.split_path(path)
    filesystem.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    assert store.sweep("") == 0 and store.sweep("media") == 1
    assert _uploads(store) == []


def test_a_lock_is_kept_although_answers_to_its_heartbeats_are_lost(proxy: FaultyS3, store: Store) -> None:
    with DirLock(store, beat_seconds=0.05) as lock:
        proxy.next_faults += ["lost"]
        until(lambda: not proxy.next_faults, "the fault")
        beat = read_lock(store).beat
        until(lambda: lock.lost or read_lock(store).beat > beat, "a heartbeat")
        assert not lock.lost


def test_of_many_runs_that_take_over_a_stale_lock_at_once_one_has_it(store: Store) -> None:
    gone = replace(LockOwner.here(), host="elsewhere", token="old", beat=time.time() - 100)
    store.commit_bytes(json.dumps(asdict(gone)).encode(), ".lock")
    locks = [DirLock(store, beat_seconds=0.1) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        succeeded = list(pool.map(lambda number: _succeeded(lambda n: locks[n].__enter__(), number), range(4)))
    assert succeeded.count(True) == 1
    locks[succeeded.index(True)].__exit__(None, None, None)
    assert read_lock(store) is None
