"""Parse subtitle formats into cues: WebVTT, SubRip, YouTube's json3, SubStation Alpha.

WebVTT and SubRip are parsed here and not with pysubs2, because pysubs2 takes a line with two inline times for a
timing line, keeps the text of malformed cues and comments in the cue before, and ignores ``Kind:``. Input is
hostile: everything is bounded and takes linear time.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal

from curation.media.speech.cues import Cue, CueFile, CuePart, Line, SubtitleError, line_text
from curation.media.speech.subtitle_cleaning import strip_markup

SubtitleFormat = Literal["vtt", "srt", "json3", "ass"]
MAX_CUE_CHARACTERS: Final = 2_000
"""Most characters in a cue; a cue with more is malformed."""
MAX_CUES: Final = 200_000
"""Most cues in a file; no video has more."""

_FORMATS: Final[dict[str, SubtitleFormat]] = {
    "json3": "json3",
    "vtt": "vtt",
    "webvtt": "vtt",
    "srt": "srt",
    "subrip": "srt",
    "ass": "ass",
    "ssa": "ass",
}

_STAMP = r"(-?)(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2})(?:[.,](\d{1,6}))?"
_TIMING = re.compile(rf"\s{{0,20}}{_STAMP}\s{{0,20}}-->\s{{0,20}}{_STAMP}(?=\s|$)")
_INLINE = re.compile(r"<((?:\d{1,4}:)?\d{1,2}:\d{1,2}[.,]\d{1,3})>")
_COMMENT = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")


def known_format(name: str) -> SubtitleFormat | None:
    """Return the format with this name (``webvtt``, ``subrip``, …); None if it can't be parsed here."""
    return _FORMATS.get(name.lower())


def read_cues(text: str, format_: SubtitleFormat) -> CueFile:
    """Parse a subtitle file; malformed cues are left out.

    Raises:
        SubtitleError: not a file of that format, no cue or too many, or chapters, descriptions or metadata.
    """
    if format_ == "vtt":
        return _read_vtt(text)
    readers = {"srt": _srt_cues, "json3": _json3_cues, "ass": _ass_cues}
    cues = _take_bounded(readers[format_](text))
    if not cues:
        raise SubtitleError(f"the file has no {format_} cue")
    return CueFile(cues)


def _take_bounded(cues: Iterator[Cue]) -> tuple[Cue, ...]:
    """Return all cues, or refuse a file with more than `MAX_CUES`."""
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
    cues = _take_bounded(_blocks(lines[1:]))
    if not cues and any("-->" in line for line in lines):
        raise SubtitleError("the file has no well-formed WebVTT cue")
    return CueFile(cues, header.get("language") or header.get("lang"))


def _vtt_header(lines: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines[:50]:
        if not line.strip() or "-->" in line:
            break
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip().lower()[:40]
    return fields


def _srt_cues(text: str) -> Iterator[Cue]:
    return _blocks(text.splitlines())


def _blocks(lines: Sequence[str]) -> Iterator[Cue]:
    """Yield the cues of WebVTT or SubRip: a timing line and the lines up to an empty line or the next timing line."""
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
    """Yield the cue of a block of lines; nothing if it has no text or too much."""
    if sum(map(len, body)) <= MAX_CUE_CHARACTERS:
        lines = tuple(line for line in map(_line, body) if line_text(line))
        if lines:
            yield Cue(*times, lines)


def _line(text: str) -> Line:
    """Split a line of text into parts at its inline times; remove tags and decode entities."""
    pieces = _INLINE.split(text)
    times = [None, *map(_inline_seconds, pieces[1::2])]
    parts = (CuePart(time, strip_markup(piece)) for time, piece in zip(times, pieces[::2], strict=True))
    return tuple(part for part in parts if part.text)


def _timing(line: str) -> tuple[float, float] | None:
    """Return start and end of a timing line in seconds; None if the line is malformed."""
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
        raise SubtitleError(f"not JSON: {str(error)[:80]}") from None
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise SubtitleError("JSON without a list of events")
    for event in events:
        if isinstance(event, dict) and isinstance(event.get("segs"), list):
            yield from _json3_cue(event)


def _json3_cue(event: dict[str, Any]) -> Iterator[Cue]:
    """Yield the cue of one event; nothing if it has no start, no text or too much text."""
    start = _milliseconds(event.get("tStartMs"))
    segments = [s for s in event["segs"] if isinstance(s, dict) and isinstance(s.get("utf8"), str)]
    if start is None or sum(len(s["utf8"]) for s in segments) > MAX_CUE_CHARACTERS:
        return
    offsets = [_milliseconds(s.get("tOffsetMs")) for s in segments]
    timed = any(offset is not None for offset in offsets)
    lines: list[list[CuePart]] = [[]]
    for segment, offset in zip(segments, offsets, strict=True):
        time = start + (offset or 0.0) if timed and (offset is not None or not any(lines)) else None
        first, *rest = strip_markup(segment["utf8"]).split("\n")
        lines[-1].append(CuePart(time, first))
        lines.extend([CuePart(None, more)] for more in rest)
    texts = tuple(tuple(part for part in line if part.text) for line in lines)
    visible = tuple(line for line in texts if line_text(line))
    if visible:
        yield Cue(start, start + (_milliseconds(event.get("dDurationMs")) or 0.0), visible)


def _milliseconds(value: Any) -> float | None:
    """Convert a number of milliseconds to seconds; None if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) / 1000
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e8 else None


def _ass_cues(text: str) -> Iterator[Cue]:
    """Parse SubStation Alpha with pysubs2."""
    import pysubs2

    try:
        events = pysubs2.SSAFile.from_string(text, format_="ass").events
    except (pysubs2.Pysubs2Error, ValueError, IndexError, KeyError) as error:
        raise SubtitleError(f"not SubStation Alpha: {str(error)[:80]}") from None
    for event in events:
        if event.is_text and not event.is_drawing:
            yield from _block((event.start / 1000, event.end / 1000), event.plaintext.split("\n"))
