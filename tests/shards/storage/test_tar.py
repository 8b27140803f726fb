import hashlib
import tarfile
from pathlib import Path

import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.full_disk import files_up_to

from shards.errors import ShardError
from shards.storage.store import Store
from shards.storage.tar import ByteSpan, TarWriter, members, read_span

_names = st.from_regex(r"[0-9a-f]{16}_[0-9]{9}_[0-9]{9}\.(mp4|json|[0-9]{1,6}\.jpg)", fullmatch=True)
_contents = st.dictionaries(_names, st.binary(max_size=2000), max_size=8)


def _write(path: Path, contents: dict[str, bytes]) -> tuple[TarWriter, dict[str, ByteSpan]]:
    with TarWriter(path) as tar:
        spans = {name: tar.add(name, data) for name, data in contents.items()}
    return tar, spans


@given(contents=_contents)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_added_member_is_read_by_headers_by_byte_range_and_by_tarfile(
    tmp_path: Path, contents: dict[str, bytes]
) -> None:
    tar, spans = _write(tmp_path / "a.tar", contents)
    store = Store(tmp_path)
    assert [(m.name, m.offset, m.size) for m in members(store, "a.tar")] == [
        (name, span.offset, span.size) for name, span in spans.items()
    ]
    assert {name: read_span(store, "a.tar", s.offset, s.size) for name, s in spans.items()} == contents
    with tarfile.open(tmp_path / "a.tar") as stock:
        assert {m.name: stock.extractfile(m).read() for m in stock} == contents
    data = (tmp_path / "a.tar").read_bytes()
    assert (tar.fact.size, tar.fact.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert store.sha256("a.tar") == tar.fact.sha256


def test_the_same_members_give_the_same_bytes(tmp_path: Path) -> None:
    contents = {"a.mp4": b"1" * 1000, "a.json": b"{}"}
    first, _ = _write(tmp_path / "1.tar", contents)
    second, _ = _write(tmp_path / "2.tar", contents)
    assert first.fact == second.fact


def test_a_file_is_added_from_its_path(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"abc" * 300)
    with TarWriter(tmp_path / "a.tar") as tar:
        span = tar.add("a.mp4", tmp_path / "clip")
    assert read_span(Store(tmp_path), "a.tar", span.offset, span.size) == b"abc" * 300


def test_headers_are_found_in_an_object_store(tmp_path: Path) -> None:
    tar, spans = _write(tmp_path / "a.tar", {"a.mp4": b"1" * 700, "b.mp4": b"2" * 3})
    store = Store(f"memory://{tmp_path.name}")
    store.commit(tar.path, "media/a.tar")
    assert [m.offset for m in members(store, "media/a.tar")] == [s.offset for s in spans.values()]
    assert read_span(store, "media/a.tar", spans["b.mp4"].offset, 3) == b"222"


def test_stock_webdataset_iterates_the_tar(tmp_path: Path) -> None:
    _write(tmp_path / "a.tar", {"k1.mp4": b"v1", "k1.json": b'{"x": 1}', "k2.mp4": b"v2", "k2.json": b'{"x": 2}'})
    samples = list(webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False).decode())
    assert [(s["__key__"], s["mp4"], s["json"]) for s in samples] == [("k1", b"v1", {"x": 1}), ("k2", b"v2", {"x": 2})]


def test_an_exception_while_writing_leaves_no_tar(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), TarWriter(tmp_path / "a.tar") as tar:
        tar.add("a", b"1")
        raise RuntimeError("stop")
    assert not (tmp_path / "a.tar").exists()
    with pytest.raises(RuntimeError, match="not closed"):
        _ = tar.fact


@pytest.mark.parametrize("cut", [600, 1400, 1600])
def test_a_tar_that_was_cut_short_is_reported(tmp_path: Path, cut: int) -> None:
    _write(tmp_path / "a.tar", {"a.mp4": b"1" * 700, "b.mp4": b"2" * 700})
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data[:cut])
    with pytest.raises(ShardError, match=r"a\.tar"):
        list(members(Store(tmp_path), "a.tar"))
    with pytest.raises(ShardError, match="cut short"):
        read_span(Store(tmp_path), "a.tar", 2048, 700)


def test_a_damaged_header_is_reported(tmp_path: Path) -> None:
    _write(tmp_path / "a.tar", {"a.mp4": b"1" * 100, "b.mp4": b"2"})
    data = bytearray((tmp_path / "a.tar").read_bytes())
    data[1024 + 150] ^= 0xFF
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(ShardError, match="byte 1024"):
        list(members(Store(tmp_path), "a.tar"))


@pytest.mark.parametrize("size", [1 << 22, 1000])
def test_a_tar_that_finds_the_disk_full_is_removed(tmp_path: Path, size: int) -> None:
    with files_up_to(512), pytest.raises(OSError, match="File too large"), TarWriter(tmp_path / "a.tar") as tar:
        tar.add("a", bytes(size))
    assert not (tmp_path / "a.tar").exists()


def test_what_a_failed_block_added_is_taken_back(tmp_path: Path) -> None:
    with TarWriter(tmp_path / "a.tar") as tar:
        tar.add("first", b"1" * 700)
        with pytest.raises(KeyError), tar.all_or_nothing():
            tar.add("second", b"2" * 5_000_000)
            tar.add("third", b"3")
            raise KeyError("in the middle")
        span = tar.add("fourth", b"4" * 900)
    with TarWriter(tmp_path / "b.tar") as plain:
        plain.add("first", b"1" * 700)
        assert plain.add("fourth", b"4" * 900) == span
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert tar.fact == plain.fact
