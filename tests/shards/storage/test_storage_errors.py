"""A store that fails is not a store that holds nothing: only "not found" means that a file is not there."""

import errno
import pickle
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError
from aiohttp.http_exceptions import ContentLengthError
from fsspec.implementations.memory import MemoryFileSystem
from support.file_server import file_server

from shards.manifest import read_manifest
from shards.reader import committed_media, read_artifact
from shards.storage.storage_errors import StorageError
from shards.storage.store import Store


class _LibraryError(Exception):
    """Stands for an error of a store's library that is no `OSError`, as botocore's are."""


_LibraryError.__module__ = "botocore.exceptions"


def _cut_answer() -> Exception:
    """Return aiohttp's error for a body that ended too early."""
    error = ClientPayloadError("Response payload is not completed")
    error.__cause__ = ContentLengthError("Not enough data to satisfy content length header")
    return error


FAULTS = [
    OSError(errno.EBUSY, "Please reduce your request rate (503)"),
    PermissionError(errno.EACCES, "Forbidden"),
    TimeoutError("no answer"),
    _LibraryError('Could not connect to the endpoint URL: "http://127.0.0.1:1/"'),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Don't wait between attempts."""
    monkeypatch.setattr("shards.storage.patience.STORE_PAUSE", 0.0)


@pytest.fixture
def store() -> Store:
    made = Store(f"memory://{uuid.uuid4().hex}/dir")
    made.commit_bytes(b"x", "sources.parquet")
    made.commit_bytes(b"x", "media/0000000.parquet")
    return made


def _fail(monkeypatch: pytest.MonkeyPatch, fault: Exception, *calls: str) -> None:
    def fails(*arguments: object, **options: object) -> object:
        raise fault

    for call in calls:
        monkeypatch.setattr(MemoryFileSystem, call, fails)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_failed_look_is_never_a_no(store: Store, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    _fail(monkeypatch, fault, "info", "ls", "cat_file")
    looks: list[Callable[[], object]] = [
        lambda: store.exists("sources.parquet"),
        lambda: store.list("media"),
        lambda: store.folders(),
        lambda: store.entry("sources.parquet"),
        lambda: read_manifest(store),
        lambda: committed_media(store),
        lambda: store.delete("sources.parquet"),
        lambda: store.delete_folder("media"),
        lambda: store.create("sources.parquet", b"y"),
    ]
    for look in looks:
        with pytest.raises(StorageError, match="memory://"):
            look()
    monkeypatch.undo()
    assert store.read_bytes("sources.parquet") == b"x"
    assert store.exists("media/0000000.parquet")


def test_what_is_not_there_is_still_a_plain_no(store: Store) -> None:
    assert not store.exists("nothing")
    assert not store.exists("media")
    assert read_manifest(store) is None
    with pytest.raises(FileNotFoundError):
        read_artifact(store, "nothing.parquet")
    store.delete_folder("nothing")


def test_a_bucket_that_is_missing_is_named_as_the_cause(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(monkeypatch, FileNotFoundError("The specified bucket does not exist"), "pipe_file")
    with pytest.raises(StorageError, match="the bucket or folder does not exist") as refused:
        store.create(".lock", b"x")
    assert refused.value.strerror is not None


def test_an_answer_that_was_cut_short_is_asked_for_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cat_file, calls = MemoryFileSystem.cat_file, []

    def cut_at_first(filesystem: MemoryFileSystem, path: str, **options: object) -> object:
        calls.append(path)
        if len(calls) < 3:
            raise _cut_answer()
        return cat_file(filesystem, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cut_at_first)
    assert store.read_bytes("sources.parquet") == b"x"


def test_an_upload_that_did_not_arrive_whole_is_repeated(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_file, calls = MemoryFileSystem.put_file, []

    def cut_at_first(filesystem: MemoryFileSystem, local: str, key: str) -> None:
        calls.append(key)
        if len(calls) == 1:
            filesystem.pipe_file(key, b"half")
        else:
            put_file(filesystem, local, key)

    monkeypatch.setattr(MemoryFileSystem, "put_file", cut_at_first)
    path = tmp_path / "b"
    path.write_bytes(b"all of it")
    store.commit(path, "b")
    assert (len(calls), store.read_bytes("b")) == (2, b"all of it")


def test_a_mistake_of_the_program_is_not_taken_for_the_network(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(monkeypatch, AttributeError("no such name"), "info")
    with pytest.raises(AttributeError):
        store.exists("sources.parquet")


def test_an_error_of_a_store_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(StorageError("s3://b/a", "down")))
    assert str(again) == "s3://b/a: down"
    assert again.errno == errno.EIO


def test_a_web_server_that_is_down_is_not_an_empty_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StorageError, match="can't be reached"):
        Store(f"http://127.0.0.1:{port}/dir").exists("manifest.json")


def test_a_web_server_that_answers_404_says_no(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x")
    with file_server(tmp_path) as url:
        assert not Store(url).exists("manifest.json")
        assert Store(url).exists("there")
