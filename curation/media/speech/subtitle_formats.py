"""Subtitle formats to cues: WebVTT, SubRip, YouTube's json3, SubStation Alpha.

A cue is what one caption shows, line by line, each line in parts; a part has a time of its own where the format
gives one (``<00:00:01.240>`` in WebVTT, ``tOffsetMs`` in json3). WebVTT and SubRip are read here and not with
pysubs2: it takes a line with two inline times for a timing line, keeps the text of malformed cues and comments in
the cue before, and knows no ``Kind:``. Input is hostile: everything is bounded and linear.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any, Final, Literal

from curation.media.speech.subtitle_cleaning import strip_markup

Format = Literal["vtt", "srt", "json3", "ass"]
MAX_CUE_CHARACTERS: Final = 2_000
"""A cue with more text than this is malformed."""
MAX_CUES: Final = 200_000
"""No video has more."""

_STAMP = r"(-?)(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2})(?:[.,](\d{1,6}))?"
_TIMING = re.compile(rf"\s{{0,20}}{_STAMP}\s{{0,20}}-->\s{{0,20}}{_STAMP}(?=\s|$)")
_INLINE = re.compile(r"<((?:\d{1,4}:)?\d{1,2}:\d{1,2}[.,]\d{1,3})>")
_COMMENT = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_CARRIED_OVER = 0.25  # seconds: rolling cues follow each other at once


class SubtitleError(ValueError):
    """The bytes are no subtitles of speech; the message says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """A run of text shown at `time` (seconds), or with what stands before it where `time` is None."""

    time: float | None
    text: str


Line = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption: from `start` to `end` in seconds as written in the file, so perhaps negative or disordered."""

    start: float
    end: float
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class CueFile:
    """All cues of a file in its own order, and the language its header names."""

    cues: tuple[Cue, ...]
    language: str | None = None


def read_cues(text: str, format: Format) -> CueFile:
    """Take a subtitle file apart; malformed cues are left out.

    Raises:
        SubtitleError: not a file of that format, no cue in it or too many, or chapters, descriptions or metadata.
    """
    if format == "vtt":
        return _read_vtt(text)
    readers = {"srt": _srt_cues, "json3": _json3_cues, "ass": _ass_cues}
    cues = _counted(readers[format](text))
    if not cues:
        raise SubtitleError(f"no {format} cue in it")
    return CueFile(cues)


def plain(line: Line) -> str:
    """The text of a line, white space collapsed."""
    return " ".join("".join(part.text for part in line).split())


def unroll(cues: Sequence[Cue]) -> list[Cue]:
    """Each line once: where captions roll up, the lines that a cue repeats from the one before are dropped.

    A track rolls when most cues that follow each other at once begin with the end of the one before, and at least
    one of them adds a line. Lines that only happen to be equal stay.
    """
    if not cues:
        return []
    repeats = [0, *(_carried(a, b) for a, b in pairwise(cues))]
    grows = any(0 < count < len(_shown(cue)) for count, cue in zip(repeats, cues, strict=True))
    if not grows or 2 * sum(count > 0 for count in repeats) < len(cues) - 1:
        return list(cues)
    fresh = (replace(cue, lines=tuple(_shown(cue)[count:])) for count, cue in zip(repeats, cues, strict=True))
    return [cue for cue in fresh if cue.lines]


def _carried(before: Cue, cue: Cue) -> int:
    """How many of the first lines of `cue` are the last lines of `before`, carried over."""
    if abs(cue.start - before.end) > _CARRIED_OVER:
        return 0
    old, new = [plain(line) for line in _shown(before)], _shown(cue)
    untimed = next((i for i, line in enumerate(new) if any(p.time is not None for p in line)), len(new))
    texts = [plain(line) for line in new[:untimed]]
    return next((n for n in range(min(len(old), len(texts)), 0, -1) if old[-n:] == texts[:n]), 0)


def _shown(cue: Cue) -> list[Line]:
    return [line for line in cue.lines if plain(line)]


def _counted(cues: Iterator[Cue]) -> tuple[Cue, ...]:
    taken = tuple(islice(cues, MAX_CUES + 1))
    if len(taken) > MAX_CUES:
        raise SubtitleError(f"more than {MAX_CUES} cues")
    return taken


def _read_vtt(text: str) -> CueFile:
    lines = text.splitlines()
    if not lines or not re.match(r"WEBVTT(?:\s|$)", lines[0]):
        raise SubtitleError("does not begin with WEBVTT")
    header = _vtt_header(lines[1:])
    if header.get("kind") in {"chapters", "descriptions", "metadata"}:
        raise SubtitleError(f"a track of {header['kind']}, not captions")
    cues = _counted(_blocks(lines[1:]))
    if not cues and any("-->" in line for line in lines):
        raise SubtitleError("no well-formed WebVTT cue in it")
    return CueFile(cues, header.get("language") or header.get("lang"))


def _vtt_header(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines[:50]:
        if not line.strip() or "-->" in line:
            break
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip().lower()[:40]
    return found


def _srt_cues(text: str) -> Iterator[Cue]:
    return _blocks(text.splitlines())


def _blocks(lines: Sequence[str]) -> Iterator[Cue]:
    """Cues of WebVTT or SubRip: a timing line and the lines that follow, up to an empty one or the next timing."""
    times: tuple[float, float] | None = None
    body: list[str] = []
    comment = False
    for line in (*lines, ""):
        is_timing = "-->" in line and not comment
        if line and not is_timing:
            comment = comment or (times is None and _COMMENT.match(line) is not None)
            body.append(line)
            continue
        if times is not None:
            numbered = is_timing and body and body[-1].strip().isdigit()  # the number of the next cue
            yield from _block(times, body[:-1] if numbered else body)
        times, body, comment = (_timing(line) if is_timing else None), [], False


def _block(times: tuple[float, float], body: Sequence[str]) -> Iterator[Cue]:
    if sum(map(len, body)) <= MAX_CUE_CHARACTERS:
        lines = tuple(line for line in map(_line, body) if plain(line))
        if lines:
            yield Cue(*times, lines)


def _line(text: str) -> Line:
    """The parts of a line of text: inline times split it, tags and entities go."""
    pieces = _INLINE.split(text)
    times = [None, *map(_inline_seconds, pieces[1::2])]
    parts = (Part(time, strip_markup(piece)) for time, piece in zip(times, pieces[::2], strict=True))
    return tuple(part for part in parts if part.text)


def _timing(line: str) -> tuple[float, float] | None:
    match = _TIMING.match(line)
    if match is None:
        return None
    return _seconds(*match.groups()[:5]), _seconds(*match.groups()[5:])


def _inline_seconds(stamp: str) -> float:
    *hours, minutes, seconds = stamp.replace(",", ".").split(":")
    return int(hours[0] if hours else 0) * 3600 + int(minutes) * 60 + float(seconds)


def _seconds(sign: str, hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    value = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction or 0}")
    return -value if sign else value


def _json3_cues(text: str) -> Iterator[Cue]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SubtitleError(f"no JSON: {str(error)[:80]}") from None
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise SubtitleError("JSON without a list of events")
    for event in events:
        if isinstance(event, dict) and isinstance(event.get("segs"), list):
            yield from _json3_cue(event)


def _json3_cue(event: dict[str, Any]) -> Iterator[Cue]:
    start = _milliseconds(event.get("tStartMs"))
    segments = [s for s in event["segs"] if isinstance(s, dict) and isinstance(s.get("utf8"), str)]
    if start is None or sum(len(s["utf8"]) for s in segments) > MAX_CUE_CHARACTERS:
        return
    offsets = [_milliseconds(s.get("tOffsetMs")) for s in segments]
    timed = any(offset is not None for offset in offsets)
    lines: list[list[Part]] = [[]]
    for segment, offset in zip(segments, offsets, strict=True):
        time = start + (offset or 0.0) if timed and (offset is not None or not any(lines)) else None
        first, *rest = strip_markup(segment["utf8"]).split("\n")
        lines[-1].append(Part(time, first))
        lines.extend([Part(None, more)] for more in rest)
    shown = tuple(tuple(part for part in line if part.text) for line in lines)
    shown = tuple(line for line in shown if plain(line))
    if shown:
        yield Cue(start, start + (_milliseconds(event.get("dDurationMs")) or 0.0), shown)


def _milliseconds(value: Any) -> float | None:
    """A count of milliseconds as seconds; None where it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) / 1000
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e8 else None


def _ass_cues(text: str) -> Iterator[Cue]:
    import pysubs2

    try:
        events = pysubs2.SSAFile.from_string(text, format_="ass").events
    except (pysubs2.Pysubs2Error, ValueError, IndexError, KeyError) as error:
        raise SubtitleError(f"no SubStation Alpha: {str(error)[:80]}") from None
    for event in events:
        if event.is_text and not event.is_drawing:
            yield from _block((event.start / 1000, event.end / 1000), event.plaintext.split("\n"))
