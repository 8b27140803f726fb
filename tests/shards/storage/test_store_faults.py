"""Faults that pass are waited out by every call to an object store; a refusal is reported at once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from support.faulty_s3 import FAULTS, Fault, FaultyS3, faulty_s3
from support.s3_server import clients_of, s3_server

from shards.storage.storage_errors import StorageError
from shards.storage.store import Store


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyS3]:
    with (
        s3_server(tmp_path_factory.mktemp("s3") / "log") as behind,
        faulty_s3(behind, slow_seconds=0.1) as proxy,
        clients_of(proxy.server),
    ):
        yield proxy


@pytest.fixture
def store(proxy: FaultyS3) -> Store:
    proxy.next_faults.clear()
    made = Store(proxy.server.url(uuid.uuid4().hex))
    made.commit_bytes(b"0123456789", "a")
    return made


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
