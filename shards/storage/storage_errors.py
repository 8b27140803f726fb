"""Errors of object stores: what is not there, and what could not be reached, are told apart.

fsspec and the libraries below it raise errors of many classes. A caller needs two answers: `FileNotFoundError`, which
means that the file is not there, and `StorageError`, which means that nobody knows.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from shards.errors import one_line

_OWN: Final = (FileExistsError, IsADirectoryError, NotADirectoryError)
"""Errors with a meaning of their own, which callers handle."""
_LOCAL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""Errors of this machine: of the disk that a file is copied to or from, or of the number of open files."""
_NOT_OF_STORES: Final = ("builtins", "shards", "runtime", "curation", "training")
"""Packages whose errors are mistakes in the program, or have been made clear already."""
_GONE: Final = (404, 410)
"""Statuses of HTTP that mean that something is not there."""
_CHANGED: Final = 412
"""Status of HTTP for a conditional write whose condition does not hold."""
_PASSING: Final = (408, 409, 425, 429)
"""Statuses below 500 that another attempt may not meet; 409 is two conditional writes at once."""
_LASTING: Final = ("Credential", "Token", "Validation", "Profile", "Region", "Config", "InvalidURL")
"""Parts of the names of errors of libraries that no attempt ends: something is not set, or set wrongly."""


class StorageError(OSError):
    """An object store, or the network to it, failed; whether the file exists is not known.

    The message is one line that names the URL, the cause and the remedy.
    """

    def __init__(self, url: str, reason: str, *, may_pass: bool = False) -> None:
        super().__init__(errno.EIO, reason, url)
        self.may_pass = may_pass
        """Another attempt may succeed."""

    def __reduce__(self) -> tuple[type[StorageError], tuple[str, str]]:
        return StorageError, (str(self.filename), str(self.strerror))

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


@contextmanager
def clear_errors(url: str, *, writes: bool = False) -> Iterator[None]:
    """Convert the errors of an object store in the block to `FileNotFoundError` and `StorageError`.

    Args:
        url: of the file or folder, for the message.
        writes: the block writes, so that what is missing is the bucket.

    Raises:
        FileNotFoundError: the store answered that the file is not there.
        FileExistsError: the condition of a conditional write does not hold.
        OSError: the disk of this machine is full, or it has too many open files.
        StorageError: anything else that went wrong in the store or on the way to it.
    """
    try:
        yield
    except _OWN:
        raise
    except FileNotFoundError as error:
        if is_missing(error) and not writes:
            raise
        if is_missing(error):
            raise StorageError(url, _missing_bucket(error)) from error
        raise StorageError(url, _unreachable(error), may_pass=_may_pass(error)) from error
    except PermissionError as error:
        raise StorageError(url, f"access is refused ({_cause(error)}); check the credentials") from error
    except Exception as error:
        if not _is_of_the_store(error) or isinstance(error, StorageError) or getattr(error, "errno", None) in _LOCAL:
            raise
        if status_of(error) == _CHANGED:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), url) from error
        raise StorageError(url, _unreachable(error), may_pass=_may_pass(error)) from error


def is_missing(error: FileNotFoundError) -> bool:
    """Return True if a store said that a file is not there.

    fsspec's file system for HTTP says so of every failure, and names the true one as the cause.
    """
    cause = error.__cause__
    if cause is None or isinstance(cause, FileNotFoundError) or not _is_of_the_store(cause):
        return True
    return status_of(cause) in _GONE


def status_of(error: BaseException) -> int | None:
    """Return the status of HTTP behind an error of a store's library; None if the store gave no answer."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    if isinstance(status := metadata.get("HTTPStatusCode"), int):
        return status
    of_parser = type(error).__module__ == "aiohttp.http_exceptions"  # code 400 for an answer that was cut short
    for name in () if of_parser else ("status", "status_code", "code"):
        if isinstance(status := getattr(error, name, None), int):
            return status
    return None if error.__cause__ is None else status_of(error.__cause__)


def _may_pass(error: BaseException) -> bool:
    """Return True if another attempt may succeed: the store gave no answer, or one that says that it is busy."""
    status = status_of(error)
    if status is not None:
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING
    return not any(part in type(error).__name__ for part in _LASTING)


def _is_of_the_store(error: BaseException) -> bool:
    """Return True for an error of the system or of a library for stores; False for a mistake in the program."""
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or package not in _NOT_OF_STORES


def _missing_bucket(error: FileNotFoundError) -> str:
    return f"the bucket or folder does not exist ({one_line(error, limit=200)}); create it first"


def _unreachable(error: BaseException) -> str:
    return f"the store can't be reached or gave no answer ({_cause(error)}); check the address and try again"


def _cause(error: BaseException) -> str:
    """Return the deepest cause that has a message, as one line."""
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return one_line(error, keep="first", named=not isinstance(error, OSError), limit=200)
