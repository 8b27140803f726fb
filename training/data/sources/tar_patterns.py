"""Patterns that name many tars: braces (``{000..127}``, ``{a,b}``), globs, and folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path, PurePosixPath

from runtime.errors import UserError
from shards.storage.remote_filesystem import remote_filesystem
from training.data.media_cache import is_remote

_GLOB = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{}]*)\}")


def expand_tars(pattern: str) -> list[str]:
    """Return the tars that a path or URL with braces and globs names; a folder names its tars.

    Raises:
        UserError: there are none.
        ShardError: the URL's protocol is unknown, or the package that supports it is not installed.
    """
    tars: list[str] = []
    for name in _expand_braces(pattern.removeprefix("file://")):
        if is_remote(name):
            tars += _expand_remote(name)
        elif Path(name).is_dir():
            tars += sorted(str(path) for path in Path(name).glob("*.tar"))
        elif _GLOB.search(name):
            tars += sorted(glob(name))  # noqa: PTH207  pathlib's takes neither absolute patterns nor `..`
        else:
            tars.append(name)
    if not tars:
        raise UserError(f"--shards {pattern}: no tar of that name")
    return tars


def _expand_braces(pattern: str) -> Iterator[str]:
    """Expand braces, nested ones included. Written here: the package that webdataset uses is no longer maintained."""
    match = _BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    span = re.fullmatch(r"(\d+)\.\.(\d+)", match[1])
    if span:
        first, last = int(span[1]), int(span[2])
        choices = [f"{number:0{len(span[1])}d}" for number in range(first, last + 1)]
    else:
        choices = match[1].split(",")
    for choice in choices:
        yield from _expand_braces(pattern[: match.start()] + choice + pattern[match.end() :])


def _expand_remote(name: str) -> list[str]:
    filesystem, path = remote_filesystem(name)
    if _GLOB.search(name):
        hits = filesystem.glob(path)
    elif not PurePosixPath(path).suffix and filesystem.isdir(path):
        hits = filesystem.glob(f"{path}/*.tar")
    else:
        hits = [path]
    return [str(filesystem.unstrip_protocol(hit)) for hit in hits]
