"""Lists of sources in an object store or on a web server are read as lists, not as videos."""

from __future__ import annotations

import errno
import json
import uuid
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from support.file_server import file_server
from support.read_sources import read_all
from support.source_files import YOUTUBE
from support.video_server import closed_port, video_server

from curation.sources import remote_lists
from runtime.errors import UserError
from shards.errors import ShardError
from shards.storage.storage_errors import StorageError

LOOPBACK = ("127.0.0.1/32",)
ROWS = [{"url": YOUTUBE, "start": "0:01", "tag": "x"}, {"url": "https://example.org/a.mp4", "start": "", "tag": "y"}]


def _written(folder: Path) -> list[Path]:
    """Write the same list in all formats."""
    (folder / "l.txt").write_text("\n".join(str(row["url"]) for row in ROWS))
    (folder / "l.csv").write_text("url,start,tag\n" + "".join(",".join(row.values()) + "\n" for row in ROWS))
    (folder / "l.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "l.PARQUET")
    return sorted(folder.iterdir())


def _in_memory(path: Path) -> str:
    url = f"memory://{uuid.uuid4().hex}/lists/{path.name}"
    fsspec.filesystem("memory").pipe_file(url, path.read_bytes())
    return url


def test_a_list_in_a_store_and_on_a_web_server_gives_what_it_gives_on_disk(tmp_path: Path) -> None:
    for path in _written(tmp_path):
        local = read_all([str(path)])
        assert [source.source for source in local] == [row["url"] for row in ROWS]
        assert read_all([_in_memory(path)]) == local
        with file_server(tmp_path) as url:
            assert read_all([f"{url}/{path.name}"], allow_addresses=LOOPBACK) == local


def test_a_query_does_not_hide_a_list_and_does_not_make_one(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(f"url\n{YOUTUBE}\n")
    with file_server(tmp_path) as url:
        assert [source.source for source in read_all([f"{url}/l.csv?signature=1"], allow_addresses=LOOPBACK)] == [
            YOUTUBE
        ]
    watched = "https://example.org/watch?list=a.csv"
    assert [source.source for source in read_all([watched])] == [watched]


@pytest.mark.parametrize("name", ["/etc/passwd.mp4", "../../a.mp4", "a.mp4", "~/a.mp4"])
def test_a_list_from_outside_names_no_file_of_this_machine(tmp_path: Path, name: str) -> None:
    (tmp_path / "l.txt").write_text(name)
    with file_server(tmp_path) as url:
        (source,) = read_all([f"{url}/l.txt"], allow_addresses=LOOPBACK)
        assert source.is_url and source.source.startswith(f"{url}/")
    with pytest.raises(UserError, match=r"line 1: memory:// is not allowed"):
        read_all([_in_memory(tmp_path / "l.txt")])


def test_a_bad_entry_is_named_by_the_url_of_its_list(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("url,start\nhttps://example.org/a,soon\n")
    url = _in_memory(tmp_path / "l.csv")
    with pytest.raises(UserError, match=rf"^--input {url}, line 2: start='soon'"):
        read_all([url])


def test_a_list_that_is_not_there_is_a_mistake_and_a_store_that_fails_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"memory://{uuid.uuid4().hex}/l.csv"
    with pytest.raises(UserError, match="there is no such list"):
        read_all([url])

    def busy(*_: object, **__: object) -> object:
        raise OSError(errno.EBUSY, "Please reduce your request rate")

    monkeypatch.setattr(MemoryFileSystem, "info", busy)
    monkeypatch.setattr("shards.storage.patience.STORE_PAUSE", 0.0)
    with pytest.raises(StorageError, match="can't be reached"):
        read_all([url])


def test_a_list_larger_than_the_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "l.txt").write_text(f"{YOUTUBE}\n" * 100)
    monkeypatch.setattr(remote_lists, "LARGEST_LIST", 1000)
    with pytest.raises(UserError, match="split it"):
        read_all([_in_memory(tmp_path / "l.txt")])
    with file_server(tmp_path) as url, pytest.raises(UserError, match="split it"):
        read_all([f"{url}/l.txt"], allow_addresses=LOOPBACK)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://me:hunter2@example.org/l.csv", "no password"),
        ("https://hunter2@example.org/l.csv", "no password"),
        ("s3://AKIA:hunter2@bucket/l.csv", "no password"),
        ("file:///etc/l.csv", "give the path instead"),
        ("nosuch://bucket/l.csv", "nosuch"),
    ],
)
def test_a_list_that_may_not_be_read_is_refused(url: str, words: str) -> None:
    with pytest.raises((UserError, ShardError), match=words) as refused:
        read_all([url])
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("target", ["http://127.0.0.2:9/l.csv", "http://169.254.169.254/l.csv", "http://[::1]:9/l.csv"])
def test_a_list_that_redirects_to_a_private_address_is_refused(tmp_path: Path, target: str) -> None:
    with (
        video_server(tmp_path) as site,
        pytest.raises(UserError, match=r"is a private address; media\.download\.allow_private_addresses permits it"),
    ):
        read_all([site.url(f"to/l.csv?url={target}")], allow_addresses=LOOPBACK)


def test_a_list_at_a_private_address_is_refused_unless_allowed(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text(YOUTUBE)
    with file_server(tmp_path) as url:
        with pytest.raises(UserError, match=r"^--input http://127.0.0.1:\d+/l.txt: refused: 127.0.0.1 is a private"):
            read_all([f"{url}/l.txt"])
        assert len(read_all([f"{url}/l.txt"], allow_addresses=("0.0.0.0/0", "::/0"))) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/l.csv"])
def test_a_list_that_redirects_to_another_scheme_is_refused(tmp_path: Path, target: str) -> None:
    with video_server(tmp_path) as site, pytest.raises(StorageError):
        read_all([site.url(f"to/l.csv?url={target}")], allow_addresses=LOOPBACK)


def test_a_list_on_a_web_server_that_is_missing_and_a_server_that_fails_differ(tmp_path: Path) -> None:
    with video_server(tmp_path) as site:
        with pytest.raises(UserError, match="there is no such list"):
            read_all([site.url("none.csv")], allow_addresses=LOOPBACK)
        with pytest.raises(StorageError, match="503"):
            read_all([site.url("status/503/l.csv")], allow_addresses=LOOPBACK)
    with closed_port() as port, pytest.raises(StorageError, match="refused"):
        read_all([f"http://127.0.0.1:{port}/l.csv"], allow_addresses=LOOPBACK)
