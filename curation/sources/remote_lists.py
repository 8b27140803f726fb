"""Lists of sources at a URL: ``s3://bucket/urls.parquet``, ``https://example.org/list.csv``, any store of fsspec.

A list is copied whole, within a bound, and read like a local one (`curation.sources.manifests`). It comes from outside,
so nothing in it can name a file of this machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

from curation.sources.list_fetch import fetch_list
from curation.sources.manifests import LARGEST_LIST, MANIFEST_SUFFIXES, ManifestEntry, read_manifest
from runtime.errors import UserError
from shards.storage.store import Store
from shards.storage.url_secrets import without_secrets

WEB_SCHEMES: Final = ("http", "https")
"""Schemes of web servers, whose lists may redirect."""
_LOCAL: Final = ("file", "local")
"""Schemes of local files, which are named by their path."""


def list_suffix(url: str) -> str | None:
    """Return the suffix of a URL that names a list; None if it names something else, such as a video."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL; the check of sources says so
        return None
    suffix = PurePosixPath(unquote(parts.path)).suffix.lower()
    return suffix if suffix in MANIFEST_SUFFIXES and parts.scheme not in _LOCAL else None


def read_remote_list(url: str, allowed: Sequence[str] = ()) -> Iterator[ManifestEntry]:
    """Yield the entries of the list at a URL.

    Args:
        url: of a web server or an object store.
        allowed: networks in CIDR form that a web server may be in although they are not public. The address of an
            object store is set by the user and is not checked.

    Raises:
        UserError: there is no such list, its address is not permitted, it is too large, or an entry is invalid.
        StorageError: the store or the server failed.
    """
    with tempfile.TemporaryDirectory(prefix="list-") as folder:
        copy = Path(folder) / f"list{list_suffix(url)}"
        _copy(url, copy, allowed)
        yield from read_manifest(copy, without_secrets(url))


def beside(list_url: str, name: str) -> str:
    """Return the URL of a source that a list names: its own URL, or one relative to the list's.

    ``urljoin`` knows web addresses only, so a store's URL is joined as one and gets its own scheme back.
    """
    if "://" in name:
        return name
    scheme, _, rest = list_url.partition("://")
    return f"{scheme}://{urljoin(f'https://{rest}', name).removeprefix('https://')}"


def _copy(url: str, target: Path, allowed: Sequence[str]) -> None:
    shown = without_secrets(url)
    try:
        if urlsplit(url).scheme.lower() in WEB_SCHEMES:
            fetch_list(url, target, max_bytes=LARGEST_LIST, allowed=allowed)
        else:
            _copy_from_store(url, target)
    except FileNotFoundError:
        raise UserError(f"--input {shown}: there is no such list") from None
    if target.stat().st_size > LARGEST_LIST:
        raise _too_large(shown)


def _too_large(shown: str) -> UserError:
    return UserError(f"--input {shown}: the list has more than {LARGEST_LIST >> 20} MiB; split it")


def _copy_from_store(url: str, target: Path) -> None:
    folder, _, name = url.rpartition("/")
    store = Store(folder)
    if store.entry(name).size > LARGEST_LIST:
        raise _too_large(without_secrets(url))
    store.download(name, target)
