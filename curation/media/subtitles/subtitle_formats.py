"""Parse subtitle formats into cues: WebVTT, SubRip, YouTube's json3, SubStation Alpha.

Input is hostile: everything is bounded and takes linear time.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from curation.media.subtitles.cue_blocks import MAX_CUE_CHARACTERS, subrip_cues, webvtt_cues
from curation.media.subtitles.cues import Cue, CueFile, CuePart, SubtitleError, line_text
from curation.media.subtitles.substation_alpha import substation_cues
from curation.media.subtitles.subtitle_cleaning import strip_markup

SubtitleFormat = Literal["vtt", "srt", "json3", "ass"]
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


def known_format(name: str) -> SubtitleFormat | None:
    """Return the format with this name (``webvtt``, ``subrip``, …); None if it can't be parsed here."""
    return _FORMATS.get(name.lower())


def read_cues(text: str, format_: SubtitleFormat) -> CueFile:
    """Parse a subtitle file; malformed cues are left out and counted.

    Raises:
        SubtitleError: not a file of that format, no cue or too many, or chapters, descriptions or metadata.
    """
    if format_ == "vtt":
        return _read_vtt(text)
    readers = {"srt": _srt_cues, "json3": _json3_cues, "ass": substation_cues}
    file = _take_bounded(readers[format_](text))
    if not file.cues:
        raise SubtitleError(f"the file has no {format_} cue")
    return file


def _take_bounded(cues: Iterator[Cue | None]) -> CueFile:
    """Return all cues, and how many could not be read; refuse a file with more than `MAX_CUES`."""
    taken: list[Cue] = []
    unread = 0
    for cue in cues:
        if cue is None:
            unread += 1
        else:
            taken.append(cue)
        if len(taken) > MAX_CUES:
            raise SubtitleError(f"more than {MAX_CUES} cues")
    return CueFile(tuple(taken), unread=unread)


def _read_vtt(text: str) -> CueFile:
    lines = text.splitlines()
    if not lines or not re.match(r"WEBVTT(?:\s|$)", lines[0]):
        raise SubtitleError("does not begin with WEBVTT")
    header = _vtt_header(lines[1:])
    if header.get("kind") in {"chapters", "descriptions", "metadata"}:
        raise SubtitleError(f"a track of {header['kind']}, not captions")
    file = _take_bounded(webvtt_cues(lines[1:]))
    if not file.cues and any("-->" in line for line in lines):
        raise SubtitleError("the file has no well-formed WebVTT cue")
    return replace(file, language=header.get("language") or header.get("lang"))


def _vtt_header(lines: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines[:50]:
        if not line.strip() or "-->" in line:
            break
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip().lower()] = value.strip().lower()[:40]
    return fields


def _srt_cues(text: str) -> Iterator[Cue | None]:
    return subrip_cues(text.splitlines())


def _json3_cues(text: str) -> Iterator[Cue | None]:
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


def _json3_cue(event: dict[str, Any]) -> Iterator[Cue | None]:
    """Yield the cue of one event, None if it has no start or too much text; nothing if it has no text."""
    start = _milliseconds(event.get("tStartMs"))
    segments = [s for s in event["segs"] if isinstance(s, dict) and isinstance(s.get("utf8"), str)]
    if start is None or sum(len(s["utf8"]) for s in segments) > MAX_CUE_CHARACTERS:
        if any(s["utf8"].strip() for s in segments):
            yield None
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
