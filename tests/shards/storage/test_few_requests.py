"""What is read from an object store is read in few large requests; they are counted by a proxy."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from support.faulty_s3 import FaultyS3, faulty_s3
from support.s3_server import clients_of, s3_server

from curation.engines.engine_interface import ImageRef
from curation.engines.request_images import read_bytes
from shards.storage.ranged_file import RangedFile
from shards.storage.store import Store
from shards.storage.tar import TarWriter, members

_PICTURES = 200
_PICTURE = 40_000
"""Bytes of a still of 448 pixels."""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyS3]:
    with (
        s3_server(tmp_path_factory.mktemp("s3") / "log") as behind,
        faulty_s3(behind) as proxy,
        clients_of(proxy.server),
    ):
        yield proxy


@pytest.fixture
def store(proxy: FaultyS3) -> Store:
    return Store(proxy.server.url(uuid.uuid4().hex))


def _tar(store: Store, tmp_path: Path, count: int, size: int) -> None:
    with TarWriter(tmp_path / "a.tar") as tar:
        for number in range(count):
            tar.add(f"{number:04d}.jpg", Random(number).randbytes(size))
    store.commit(tar.path, "a.tar")


def test_the_keyframes_of_a_shard_are_read_in_few_large_requests(proxy: FaultyS3, store: Store, tmp_path: Path) -> None:
    _tar(store, tmp_path, _PICTURES, _PICTURE)
    before = proxy.count("GET")
    images = [ImageRef(store.path("a.tar"), member.offset, member.size) for member in members(store, "a.tar")]
    listed = proxy.count("GET") - before
    with ThreadPoolExecutor(16) as pool:
        pictures = list(pool.map(read_bytes, images))
    assert pictures == [Random(number).randbytes(_PICTURE) for number in range(_PICTURES)]
    assert listed <= 6
    assert proxy.count("GET") - before - listed == 2, "the tar has 8 MB, a block 4 MiB"


def test_the_headers_of_videos_are_read_without_the_videos(proxy: FaultyS3, store: Store, tmp_path: Path) -> None:
    _tar(store, tmp_path, 4, 2_000_000)
    before = proxy.count("GET")
    assert len(list(members(store, "a.tar"))) == 4
    assert proxy.count("GET") - before == 5


@pytest.mark.parametrize("seed", range(20))
def test_a_file_read_by_ranges_is_the_file(seed: int) -> None:
    random = Random(seed)
    data = random.randbytes(300_000)
    plain, ranged = io.BytesIO(data), RangedFile(lambda offset, size: data[offset : offset + size], len(data))
    for _ in range(50):
        position = random.randrange(-10, len(data) + 10)
        whence = random.choice([io.SEEK_SET, io.SEEK_SET, io.SEEK_END])
        size = random.choice([0, 1, 512, 70_000, -1])
        if position >= 0 and whence == io.SEEK_SET:
            plain.seek(position)
            ranged.seek(position)
        assert plain.read(size) == ranged.read(size)
        assert plain.tell() == ranged.tell()
