"""A DIR in a folder of this machine, mounts (NFS, Lustre, FUSE) included: files are written beside and renamed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from shards.storage import files
from shards.storage.backend import ObjectInfo

_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""Errors of file systems that have no hard links."""
_ABSENT: Final = (FileNotFoundError, NotADirectoryError)
"""The only errors that mean that a file or folder is not there."""


class LocalFolder:
    """The `Backend` of a folder; errors are those of the operating system."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser().absolute()
        self.root = str(self._path)

    def list(self, folder: str, prefix: str) -> dict[str, ObjectInfo]:
        """Return the files directly in `folder` by name, sorted; empty if there is no such folder."""
        entries = [entry for entry in self._entries(folder) if entry.name.startswith(prefix)]
        return {entry.name: _info(entry.stat()) for entry in entries if entry.is_file() and entry.name[0] != "."}

    def info(self, name: str) -> ObjectInfo:
        """Return size and token of a file."""
        return _info(self._at(name).stat())

    def folders(self, folder: str) -> Sequence[str]:
        """Return the names of the folders directly in `folder`."""
        return [entry.name for entry in self._entries(folder) if entry.is_dir()]

    def exists(self, name: str) -> bool:
        """Return True if the file is there; only "not found" is a no: a stale mount is an error."""
        try:
            return stat.S_ISREG(self._at(name).stat().st_mode)
        except _ABSENT:
            return False

    def open(self, name: str) -> BinaryIO:
        """Open a file to read."""
        return self._at(name).open("rb")

    def read_bytes(self, name: str, offset: int, size: int | None) -> bytes:
        """Read a range of a file."""
        with self._at(name).open("rb") as file:
            file.seek(offset)
            return file.read(-1 if size is None else size)

    def download(self, name: str, target: Path) -> None:
        """Copy a file to another path."""
        shutil.copyfile(self._at(name), target)

    def commit(self, local: Path, name: str) -> None:
        """Rename a scratch file to `name`, or copy it if scratch is on another file system."""
        with files.new_file(self._at(name)) as partial:
            try:
                local.rename(partial)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.copyfile(local, partial)
        local.unlink(missing_ok=True)

    def commit_bytes(self, data: bytes, name: str) -> None:
        """Write a file whole."""
        files.write_file(self._at(name), data)

    def create(self, name: str, data: bytes) -> str:
        """Write a file that does not exist yet, by a hard link to a finished one: whole or not at all, also on NFS."""
        target = self._at(name)
        with files.scratch_beside(target) as partial:
            partial.write_bytes(data)
            try:
                os.link(partial, target)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                with target.open("xb") as file:
                    file.write(data)
        return self.info(name).token

    def replace(self, name: str, data: bytes, token: str) -> str:
        """Write a file in the place of the one with `token`, after a look."""
        if self.info(name).token != token:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self._at(name)))
        self.commit_bytes(data, name)
        return self.info(name).token

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        self._at(name).unlink(missing_ok=True)

    def delete_folder(self, folder: str) -> None:
        """Remove a folder if it is there."""
        if self._at(folder).exists():
            shutil.rmtree(self._at(folder))

    def replace_folder(self, new: str, old: str) -> None:
        """Put one folder in the place of another, by two renames."""
        files.replace_folder(self._at(new), self._at(old))

    def mend_folders(self, folder: str) -> None:
        """Undo replacements that were interrupted between their two renames."""
        files.mend_folders(self._at(folder))

    def sweep(self, folder: str) -> int:
        """Remove and count half-written files."""
        return files.remove_leftovers(self._at(folder))

    def _entries(self, folder: str) -> Sequence[os.DirEntry[str]]:
        """Return everything directly in `folder`, sorted by name; nothing if there is no such folder."""
        try:
            with os.scandir(self._at(folder)) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except _ABSENT:
            return []

    def _at(self, name: str) -> Path:
        return self._path / name


def _info(facts: os.stat_result) -> ObjectInfo:
    return ObjectInfo(facts.st_size, f"{facts.st_mtime_ns}-{facts.st_ino}")
