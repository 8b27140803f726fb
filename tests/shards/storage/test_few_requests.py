"""What is read from an object store is read in few large requests; they are counted by a proxy."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.faulty_s3 import FaultyS3

from curation.engines.engine_interface import ImageRef
from curation.engines.request_images import read_bytes
from shards.reader import read_table
from shards.storage.ranged_file import RangedFile
from shards.storage.store import Store
from shards.storage.tar import TarWriter, members

_PICTURES = 200
_PICTURE = 40_000
"""Bytes of a still of 448 pixels."""


def _tar(remote: Store, tmp_path: Path, count: int, size: int) -> None:
    with TarWriter(tmp_path / "a.tar") as tar:
        for number in range(count):
            tar.add(f"{number:04d}.jpg", Random(number).randbytes(size))
    remote.commit(tar.path, "a.tar")


def test_the_keyframes_of_a_shard_are_read_in_few_large_requests(
    proxy: FaultyS3, remote: Store, tmp_path: Path
) -> None:
    _tar(remote, tmp_path, _PICTURES, _PICTURE)
    before = proxy.count("GET")
    images = [ImageRef(remote.path("a.tar"), member.offset, member.size) for member in members(remote, "a.tar")]
    listed = proxy.count("GET") - before
    with ThreadPoolExecutor(16) as pool:
        pictures = list(pool.map(read_bytes, images))
    assert pictures == [Random(number).randbytes(_PICTURE) for number in range(_PICTURES)]
    assert listed <= 6
    assert proxy.count("GET") - before - listed == 2, "the tar has 8 MB, a block 4 MiB"


def test_the_headers_of_videos_are_read_without_the_videos(proxy: FaultyS3, remote: Store, tmp_path: Path) -> None:
    _tar(remote, tmp_path, 4, 2_000_000)
    before = proxy.count("GET")
    assert len(list(members(remote, "a.tar"))) == 4
    assert proxy.count("GET") - before == 5


def test_a_table_is_read_in_one_request_and_a_large_one_by_its_columns(
    proxy: FaultyS3, remote: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(0)
    table = pa.table({f"c{number}": [random.randbytes(100) for _ in range(5000)] for number in range(10)})
    pq.write_table(table, tmp_path / "table", compression="none", use_dictionary=False)
    remote.commit(tmp_path / "table", "a.parquet")
    before = proxy.count("GET")
    assert read_table(remote, "a.parquet", ["c3"]).column("c3") == table.column("c3")
    assert proxy.count("GET") - before == 1
    monkeypatch.setattr("shards.reader.LARGE_TABLE", 1000)
    assert read_table(remote, "a.parquet", ["c3", "c4", "c8"]) == table.select(["c3", "c4", "c8"])
    assert proxy.count("GET") - before == 5, "the beginning, the footer, two neighbours, and one by itself"


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
