"""Finds the files that roots were cut from: features at a higher rate than the stored 8 frames a second need them.

A source that is a file of this machine is read where it lies; others are looked up in a folder of downloads, by their
video id, by the id or name in their address, or by the id in brackets that yt-dlp puts at the end of a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from runtime.errors import UserError

SUFFIXES: Final = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".flv", ".mpg", ".mpeg", ".ogv"),
        *(".asf", ".wmv", ".rm", ".mxf", ".nut", ".ivf"),
    )
)
"""Names of files that may be videos end so."""

_BRACKETED = re.compile(r"\[([^\[\]]+)\]$")


class Originals:
    """The original of each source, where there is one."""

    def __init__(self, folder: Path | None) -> None:
        """Look through `folder` and the folders in it once.

        Raises:
            UserError: there is no such folder.
        """
        if folder is not None and not folder.is_dir():
            raise UserError(f"originals={folder}: there is no such folder")
        self._files = dict(_named(folder)) if folder is not None else {}

    def path_of(self, source: str, video_id: str) -> Path | None:
        """The file of a source.

        Args:
            source: address or path, as the tables have it.
            video_id: 16 hex digits.
        """
        if "://" not in source and _is_file(source):
            return Path(source)
        found = (self._files.get(name) for name in (video_id, *_names_in(source)))
        return next((path for path in found if path is not None), None)


def _is_file(source: str) -> bool:
    """Whether a file of this machine has that name; some sources are too long to be a name at all."""
    try:
        return Path(source).is_file()
    except OSError:
        return False


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every video below `folder` under each name that it may be looked up by."""
    for path in sorted(folder.rglob("*"), reverse=True):  # of equal names the first in order stays
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            bracketed = _BRACKETED.search(path.stem)
            if bracketed:
                yield bracketed[1], path
            yield path.stem, path


def _names_in(source: str) -> Iterator[str]:
    """What a download of this address may be called."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return
    yield from parse_qs(parts.query).get("v", ())
    yield Path(parts.path).stem
