"""One S3 server for the tests of this folder, reached directly or through a proxy that injects faults."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from support.faulty_s3 import FaultyS3, faulty_s3
from support.s3_server import S3Server, clients_of, s3_server

from shards.storage.store import Store


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The server; clients do not know of it."""
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def s3(server: S3Server) -> Iterator[S3Server]:
    """The server, which the clients of this process find."""
    with clients_of(server):
        yield server


@pytest.fixture(scope="module")
def proxy(server: S3Server) -> Iterator[FaultyS3]:
    """A proxy in front of the server, which the clients of this process find; it fails as its fields say."""
    with faulty_s3(server, slow_seconds=0.1) as proxy, clients_of(proxy.server):
        yield proxy


@pytest.fixture
def remote(proxy: FaultyS3) -> Store:
    """An empty DIR behind the proxy."""
    proxy.next_faults.clear()
    return Store(proxy.server.url(uuid.uuid4().hex))
