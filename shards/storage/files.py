"""Files and folders on a local disk that appear whole or not at all, and the SHA-256 of a file.

Everything is written beside its place under a name that starts with `LEFTOVER`, flushed to the disk and renamed. A
process that is killed leaves such a name behind and nothing else. The replacement of a folder takes two renames; if
it is interrupted between them, `mend_folder` puts the old folder back.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

LEFTOVER: Final = ".tmp-"
"""Prefix of the names under which files and folders are written; what carries it was not finished."""
_NEW: Final = f"{LEFTOVER}new-"
_OLD: Final = f"{LEFTOVER}old-"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits; the file is read in pieces.

    Raises:
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        return stream_sha256(file)


def stream_sha256(stream: BinaryIO) -> str:
    """Return the SHA-256 of the rest of an open file, 64 hex digits."""
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def write_file(target: Path, data: bytes) -> None:
    """Write a file, or replace it, at once or not at all.

    Raises:
        OSError: the disk is full or may not be written; the old file stays.
    """
    with new_file(target) as partial:
        partial.write_bytes(data)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; when the block ends, the file there becomes `target`.

    The path ends with the name of `target`, so that its suffix is kept. After an error the partial file is removed and
    an old `target` stays. Missing parent folders are made.

    Raises:
        OSError: the disk is full or may not be written.
    """
    with scratch_beside(target) as partial:
        yield partial
        _flush(partial)
        partial.replace(target)
        _flush(target.parent)


@contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """Yield a path in the folder of `target` for a scratch file, which is removed when the block ends.

    Missing parent folders are made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f"{LEFTOVER}{uuid.uuid4().hex}-{target.name}")
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target` to write into; when the block ends, it becomes `target`.

    One process at a time may write a target. After an error the partial folder is removed, which gives a full disk its
    room back, and an old `target` stays.

    Raises:
        OSError: the disk is full or may not be written.
    """
    mend_folder(target)
    partial = target.with_name(_NEW + target.name)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        replace_folder(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def empty_or_new_folder(target: Path) -> Iterator[Path]:
    """Yield `target` itself if it is an empty folder, which someone may be working in; otherwise as `new_folder`.

    An empty folder is empty again after an error.

    Raises:
        OSError: the disk is full or may not be written.
    """
    if not target.is_dir() or any(target.iterdir()):
        with new_folder(target) as partial:
            yield partial
        return
    try:
        yield target
    except BaseException:
        for path in target.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


def replace_folder(new: Path, target: Path) -> None:
    """Put the finished folder `new` in the place of `target`, which need not exist.

    Raises:
        OSError: a rename failed; `target` is there as before.
    """
    for path in (*new.rglob("*"), new):
        _flush(path)
    mend_folder(target)
    old = target.with_name(_OLD + target.name)
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        mend_folder(target)
        raise
    _flush(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def mend_folder(target: Path) -> None:
    """Undo a replacement of `target` that was interrupted: put the old folder back if it is needed."""
    old = target.with_name(_OLD + target.name)
    if not old.exists():
        return
    if target.exists():
        shutil.rmtree(old)
    else:
        old.rename(target)


def mend_folders(parent: Path) -> None:
    """Undo every interrupted replacement of a folder directly in `parent`."""
    for old in sorted(parent.glob(f"{_OLD}*")):
        mend_folder(parent / old.name.removeprefix(_OLD))


def remove_leftovers(folder: Path) -> int:
    """Remove what killed processes left half-written in `folder`, and return how many files and folders that were.

    No other process may be writing there.
    """
    leftovers = list(folder.glob(f"{LEFTOVER}*"))
    for path in leftovers:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return len(leftovers)


def _flush(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
