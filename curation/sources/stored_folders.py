"""Folders and globs in object stores as inputs: ``s3://bucket/talks/`` and ``s3://bucket/talks/*/a*.mp4``.

They are searched as folders of this machine are, one folder at a time; nothing is copied before a worker needs it.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from shards.storage.patience import with_patience
from shards.storage.remote_filesystem import STORE_SCHEMES, remote_filesystem
from shards.storage.storage_errors import clear_errors
from shards.storage.store import Store

_ELSEWHERE: Final = ("http", "https", "file", "local")
"""Schemes of web servers, which list nothing, and of this machine's files, which are named by their path."""


def names_stored_files(url: str) -> bool:
    """Return True if a URL names several files of a store: it is a glob, a name with ``/`` at its end, or a folder.

    What could be a glob or a name, and a name without a suffix at one of `STORE_SCHEMES`, is looked up.

    Raises:
        StorageError: the store failed.
    """
    scheme = url.partition("://")[0].lower()
    if scheme in _ELSEWHERE:
        return False
    if url.endswith("/"):
        return True
    if glob.has_magic(url):
        folder, _, name = url.rpartition("/")
        return not Store(folder).exists(name)
    return scheme in STORE_SCHEMES and not PurePosixPath(url).suffix and _is_folder(Store(url))


def stored_files(url: str) -> Iterator[str]:
    """Yield the URLs of the files below a folder, at any depth, or of those that match a glob, by name.

    Names that start with a dot are left out of folders.

    Raises:
        ShardError: the package that speaks the URL's protocol is not installed.
        StorageError: the store failed.
    """
    return _matches(url) if glob.has_magic(url) else _below(Store(url), "")


def _is_folder(store: Store) -> bool:
    return bool(store.list()) or bool(store.folders())


def _below(store: Store, folder: str) -> Iterator[str]:
    within = f"{folder}/" if folder else ""
    for name in sorted(store.list(folder)):
        yield store.path(f"{within}{name}")
    for name in store.folders(folder):
        yield from _below(store, f"{within}{name}")


def _matches(pattern: str) -> Iterator[str]:
    filesystem, path = remote_filesystem(pattern)

    def found() -> dict[str, dict[str, str]]:
        with clear_errors(pattern):
            return dict(filesystem.glob(path, detail=True))

    scheme = pattern.partition("://")[0]
    for name, facts in sorted(with_patience(found).items()):
        if facts["type"] == "file":
            yield f"{scheme}://{name.lstrip('/')}"
