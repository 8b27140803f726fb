"""Cues, the captions of a subtitle file, and the removal of lines that rolling captions repeat.

A cue has lines, and a line has parts; a part has a time of its own if the format gives one
(``<00:00:01.240>`` in WebVTT, ``tOffsetMs`` in json3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

_ROLLING_LINES: Final = 8  # most lines that rolling captions show at once
_CARRIED_OVER: Final = 0.25  # seconds; a rolling cue starts within this time of the end of the cue before


class SubtitleError(ValueError):
    """The bytes are not subtitles of speech; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class CuePart:
    """A run of text shown at `time` (seconds), or together with the part before it if `time` is None."""

    time: float | None
    text: str


Line = tuple[CuePart, ...]


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption, from `start` to `end` in seconds as the file states them: they may be negative or disordered."""

    start: float
    end: float
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class CueFile:
    """The cues of a file in its own order, and the language in its header."""

    cues: tuple[Cue, ...]
    language: str | None = None
    unread: int = 0
    """Number of cues that have text and could not be read."""


def line_text(line: Line) -> str:
    """Return the text of a line, with white space collapsed."""
    return " ".join("".join(part.text for part in line).split())


def unroll_cues(cues: Sequence[Cue]) -> list[Cue]:
    """Return the cues with each line once: in rolling captions, lines repeated from the cue before are dropped.

    Captions are rolling if most cues that directly follow another begin with the end of that one, and at least one
    of them adds a line. Lines that are equal by chance stay.
    """
    if not cues:
        return []
    repeats = [0, *(_repeated_lines(a, b) for a, b in pairwise(cues))]
    grows = any(0 < count < len(_visible_lines(cue)) for count, cue in zip(repeats, cues, strict=True))
    if not grows or 2 * sum(count > 0 for count in repeats) < len(cues) - 1:
        return list(cues)
    fresh = (replace(cue, lines=tuple(_visible_lines(cue)[n:])) for n, cue in zip(repeats, cues, strict=True))
    return [cue for cue in fresh if cue.lines]


def _repeated_lines(before: Cue, cue: Cue) -> int:
    """Return how many of the first lines of `cue` repeat the last lines of `before`."""
    if abs(cue.start - before.end) > _CARRIED_OVER:
        return 0
    old, new = [line_text(line) for line in _visible_lines(before)], _visible_lines(cue)
    untimed = next((i for i, line in enumerate(new) if any(p.time is not None for p in line)), len(new))
    texts = [line_text(line) for line in new[:untimed]]
    return next((n for n in range(min(len(old), len(texts), _ROLLING_LINES), 0, -1) if old[-n:] == texts[:n]), 0)


def _visible_lines(cue: Cue) -> list[Line]:
    return [line for line in cue.lines if line_text(line)]
