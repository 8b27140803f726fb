import hashlib
import os
from pathlib import Path

import pytest

from shards.storage.files import (
    LEFTOVER,
    file_sha256,
    mend_folder,
    mend_folders,
    new_file,
    new_folder,
    remove_leftovers,
    replace_folder,
    write_file,
)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _filled(folder: Path, data: bytes) -> Path:
    folder.mkdir()
    (folder / "file").write_bytes(data)
    return folder


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside(tmp_path: Path) -> None:
    write_file(tmp_path / "below" / "file", b"old")
    write_file(tmp_path / "below" / "file", b"new")
    assert (tmp_path / "below" / "file").read_bytes() == b"new"
    assert _names(tmp_path / "below") == ["file"]


def test_a_file_is_written_under_a_name_with_the_same_suffix(tmp_path: Path) -> None:
    with new_file(tmp_path / "video.mp4") as partial:
        assert partial.suffix == ".mp4"
        partial.write_bytes(b"x")
    assert _names(tmp_path) == ["video.mp4"]


def test_after_an_error_the_old_file_stays_and_the_new_one_is_removed(tmp_path: Path) -> None:
    write_file(tmp_path / "file", b"old")
    with pytest.raises(RuntimeError), new_file(tmp_path / "file") as partial:
        partial.write_bytes(b"half")
        raise RuntimeError
    assert (tmp_path / "file").read_bytes() == b"old"
    assert _names(tmp_path) == ["file"]


def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    _filled(tmp_path / "model", b"old")
    with new_folder(tmp_path / "model") as partial:
        (partial / "other").write_bytes(b"new")
    assert _names(tmp_path) == ["model"]
    assert _names(tmp_path / "model") == ["other"]


def test_after_an_error_the_old_folder_stays_and_the_new_one_is_removed(tmp_path: Path) -> None:
    _filled(tmp_path / "model", b"old")
    with pytest.raises(RuntimeError), new_folder(tmp_path / "model") as partial:
        (partial / "file").write_bytes(b"half")
        raise RuntimeError
    assert (tmp_path / "model" / "file").read_bytes() == b"old"
    assert _names(tmp_path) == ["model"]


def test_a_half_written_folder_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    _filled(tmp_path / f"{LEFTOVER}new-model", b"half")
    with new_folder(tmp_path / "model") as partial:
        assert _names(partial) == []
    assert _names(tmp_path) == ["model"]


def test_a_failing_rename_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, target = _filled(tmp_path / "new", b"new"), _filled(tmp_path / "model", b"old")
    rename = Path.rename

    def refuse(self: Path, to: Path) -> Path:
        if self == new:
            raise OSError(13, "Permission denied")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Permission denied"):
        replace_folder(new, target)
    assert (target / "file").read_bytes() == b"old"


def test_an_interrupted_replacement_is_undone(tmp_path: Path) -> None:
    _filled(tmp_path / f"{LEFTOVER}old-model", b"old")
    mend_folder(tmp_path / "model")
    assert (tmp_path / "model" / "file").read_bytes() == b"old"


def test_an_old_folder_that_was_replaced_is_removed(tmp_path: Path) -> None:
    _filled(tmp_path / f"{LEFTOVER}old-model", b"old")
    _filled(tmp_path / "model", b"new")
    mend_folders(tmp_path)
    assert _names(tmp_path) == ["model"]
    assert (tmp_path / "model" / "file").read_bytes() == b"new"


def test_leftovers_are_removed_and_counted(tmp_path: Path) -> None:
    _filled(tmp_path / f"{LEFTOVER}new-a", b"half")
    (tmp_path / f"{LEFTOVER}1-b").write_bytes(b"half")
    (tmp_path / "c").write_bytes(b"whole")
    assert remove_leftovers(tmp_path) == 2
    assert _names(tmp_path) == ["c"]
