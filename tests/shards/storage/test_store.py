import os
import pickle
import uuid
from pathlib import Path

import pytest
from support.full_disk import files_up_to

from shards.errors import ShardError
from shards.storage.store import Store


@pytest.fixture(params=["folder", "object store", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(tmp_path / "dir")
    if request.param == "s3":
        return Store(request.getfixturevalue("s3").url(uuid.uuid4().hex))
    return Store(f"memory://{uuid.uuid4().hex}/dir")


def _scratch_file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "scratch.bin"
    path.write_bytes(data)
    return path


def test_a_committed_file_is_listed_and_read_back(store: Store, tmp_path: Path) -> None:
    store.commit(_scratch_file(tmp_path, b"0123456789"), "media/0000000.tar")
    assert store.list("media")["0000000.tar"].size == 10
    assert store.exists("media/0000000.tar")
    assert store.read_bytes("media/0000000.tar") == b"0123456789"
    with store.open("media/0000000.tar") as file:
        file.seek(4)
        assert file.read() == b"456789"


def test_commit_takes_the_scratch_file_away(store: Store, tmp_path: Path) -> None:
    path = _scratch_file(tmp_path, b"x")
    store.commit(path, "x")
    assert not path.exists()


@pytest.mark.parametrize(("offset", "size", "expected"), [(0, 0, b""), (2, 3, b"234"), (8, None, b"89"), (8, 9, b"89")])
def test_a_range_is_read_without_the_rest(store: Store, offset: int, size: int | None, expected: bytes) -> None:
    store.commit_bytes(b"0123456789", "a/b")
    assert store.read_bytes("a/b", offset, size) == expected


def test_a_missing_folder_lists_as_empty(store: Store) -> None:
    assert store.list("nowhere") == {}
    assert list(store.folders("nowhere")) == []


def test_a_missing_file_is_a_file_not_found_error(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.read_bytes("nowhere/nothing")
    with pytest.raises(FileNotFoundError):
        store.open("nowhere/nothing")


def test_listing_holds_files_and_folders_apart_and_leaves_out_dot_files(store: Store) -> None:
    for name in ("text/a/0", "text/b/0", "text/.next-a/0", "text/file", "text/.hidden"):
        store.commit_bytes(b"x", name)
    assert list(store.list("text")) == ["file"]
    assert list(store.folders("text")) == ["a", "b"]


def test_the_token_changes_when_a_file_is_written_anew(store: Store) -> None:
    store.commit_bytes(b"one", "a")
    before = store.list()["a"]
    store.commit_bytes(b"two", "a")
    assert store.list()["a"].token != before.token
    assert store.list()["a"] == store.list()["a"]


def test_deleting_is_done_once_and_again_without_complaint(store: Store) -> None:
    store.commit_bytes(b"x", "a/b")
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")


def test_a_folder_is_deleted_with_all_in_it(store: Store) -> None:
    store.commit_bytes(b"x", "a/b/c")
    store.delete_folder("a")
    store.delete_folder("a")
    assert store.list("a/b") == {}


def test_a_folder_built_beside_takes_the_place_of_the_old_one(store: Store) -> None:
    store.commit_bytes(b"old", "text/a/0")
    store.commit_bytes(b"old", "text/a/1")
    store.commit_bytes(b"new", "text/.next-a/0")
    store.replace_folder("text/.next-a", "text/a")
    assert store.read_bytes("text/a/0") == b"new"
    assert list(store.list("text/a")) == ["0"]
    assert store.list("text/.next-a") == {}


def test_create_succeeds_once(store: Store) -> None:
    store.create(".lock", b"first")
    with pytest.raises(FileExistsError):
        store.create(".lock", b"second")
    assert store.read_bytes(".lock") == b"first"


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a//b", "a/../b", "a\\b", "."])
def test_a_name_that_leaves_the_dir_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ShardError, match="not a name inside a DIR"):
        store.path(name)
    with pytest.raises(ShardError):
        store.commit_bytes(b"x", name)


def test_a_store_survives_pickling(store: Store) -> None:
    store.commit_bytes(b"x", "a")
    again = pickle.loads(pickle.dumps(store))
    assert again.root == store.root
    assert again.read_bytes("a") == b"x"


def test_an_unknown_protocol_is_one_clear_line() -> None:
    with pytest.raises(ShardError, match="nosuch"):
        Store("nosuch://bucket/dir")


def test_a_failed_commit_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "dir")
    store.commit_bytes(b"old", "media/a")

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        store.commit(_scratch_file(tmp_path, b"new"), "media/a")
    with pytest.raises(OSError, match="No space left"):
        store.commit_bytes(b"new", "media/a")
    assert [path.name for path in (tmp_path / "dir" / "media").iterdir()] == ["a"]
    assert store.read_bytes("media/a") == b"old"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system at /dev/shm")
def test_a_commit_across_file_systems_that_runs_out_of_room_leaves_nothing(tmp_path: Path) -> None:
    other = Path("/dev/shm") / uuid.uuid4().hex
    other.write_bytes(bytes(1 << 20))
    if other.stat().st_dev == tmp_path.stat().st_dev:
        other.unlink()
        pytest.skip("/dev/shm and the temporary folder are one file system")
    store = Store(tmp_path / "dir")
    with files_up_to(1 << 18), pytest.raises(OSError, match="File too large"):
        store.commit(other, "media/a")
    assert list((tmp_path / "dir" / "media").iterdir()) == []
    store.commit(other, "media/a")
    assert store.list("media")["a"].size == 1 << 20
    assert not other.exists()


def test_sweep_removes_half_written_files_of_a_killed_run(tmp_path: Path) -> None:
    store = Store(tmp_path / "dir")
    store.commit_bytes(b"x", "media/a")
    (tmp_path / "dir" / "media" / ".tmp-123-b").write_bytes(b"half")
    assert store.sweep("media") == 1
    assert [path.name for path in (tmp_path / "dir" / "media").iterdir()] == ["a"]


def test_create_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    store = Store(tmp_path / "dir")
    store.create(".lock", b"first")
    with pytest.raises(FileExistsError):
        store.create(".lock", b"second")
    assert [path.name for path in (tmp_path / "dir").iterdir()] == [".lock"]


def test_a_folder_whose_replacement_was_interrupted_is_put_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "dir")
    store.commit_bytes(b"old", "text/a/0")
    store.commit_bytes(b"new", "text/.next-a/0")
    (tmp_path / "dir" / "text" / "a").rename(tmp_path / "dir" / "text" / ".tmp-old-a")
    store.mend_folders("text")
    assert store.read_bytes("text/a/0") == b"old"
    assert store.read_bytes("text/.next-a/0") == b"new"
