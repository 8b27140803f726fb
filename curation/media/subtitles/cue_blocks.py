"""Split the lines of WebVTT and of SubRip into cues.

Both have a timing line and lines of text, and they end a cue differently: in WebVTT an empty line ends it; in SubRip
the next number and timing line do, and empty lines may be part of the text. Written here and not left to pysubs2, which
takes a line with two inline times for a timing line, and keeps malformed cues and comments in the cue before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from curation.media.subtitles.cues import Cue, CuePart, Line, line_text
from curation.media.subtitles.subtitle_cleaning import strip_markup
from curation.media.subtitles.time_stamps import is_timing_line, read_timing

MAX_CUE_CHARACTERS: Final = 2_000
"""Most characters in a cue; a cue with more is malformed."""

_INLINE: Final = re.compile(r"<((?:\d{1,4}:)?\d{1,2}:\d{1,2}[.,]\d{1,3})>")
_COMMENT: Final = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")

Times = tuple[float, float]
"""Start and end of a cue in seconds."""


def webvtt_cues(lines: Sequence[str]) -> Iterator[Cue | None]:
    """Yield the cues of WebVTT, without its header; None for a cue with text that can't be read."""
    times: Times | None = None
    unread, comment = False, False
    body: list[str] = []
    for line in (*lines, ""):
        is_timing = "-->" in line and not comment
        if line and not is_timing:
            comment = comment or (times is None and not unread and _COMMENT.match(line) is not None)
            body.append(line)
            continue
        if times is not None or unread:
            numbered = is_timing and body and body[-1].strip().isdigit()  # the number of the next cue
            yield from cue_of(times, body[:-1] if numbered else body)
        times = read_timing(line) if is_timing else None
        unread, body, comment = is_timing and times is None and is_timing_line(line), [], False


def subrip_cues(lines: Sequence[str]) -> Iterator[Cue | None]:
    """Yield the cues of SubRip; None for a cue with text that can't be read."""
    timings = [i for i, line in enumerate(lines) if is_timing_line(line)]
    numbers = [_number_before(lines, i) for i in timings]
    numbered = _are_numbered(numbers)
    for k, at in enumerate(timings):
        until = timings[k + 1] if k + 1 < len(timings) else len(lines)
        body = list(lines[at + 1 : until])
        if numbered and k + 1 < len(timings) and numbers[k + 1] is not None:
            body = _without_last(body)
        own = numbers[k] if numbered else None
        text, *untimed = _split_untimed(body, own)
        yield from cue_of(read_timing(lines[at]), text)
        yield from (None for _ in untimed)


def cue_of(times: Times | None, body: Sequence[str]) -> Iterator[Cue | None]:
    """Yield the cue of a block of lines, None if its time or its text can't be read; nothing if it has no text."""
    if times is None or sum(map(len, body)) > MAX_CUE_CHARACTERS:
        if any(line.strip() for line in body):
            yield None
        return
    lines = tuple(line for line in map(_line, body) if line_text(line))
    if lines:
        yield Cue(*times, lines)


def _line(text: str) -> Line:
    """Split a line of text into parts at its inline times; remove tags and decode entities."""
    pieces = _INLINE.split(text)
    times = [None, *map(_inline_seconds, pieces[1::2])]
    parts = (CuePart(time, strip_markup(piece)) for time, piece in zip(times, pieces[::2], strict=True))
    return tuple(part for part in parts if part.text)


def _inline_seconds(stamp: str) -> float:
    *hours, minutes, seconds = stamp.replace(",", ".").split(":")
    return int(hours[0] if hours else 0) * 3600 + int(minutes) * 60 + float(seconds)


def _number_before(lines: Sequence[str], timing: int) -> int | None:
    """Return the cue number in the last line with text before a timing line, up to three lines above it."""
    above = [line.strip("\ufeff \t") for line in lines[max(timing - 3, 0) : timing]]
    last = next((line for line in reversed(above) if line), "")
    return int(last) if len(last) <= 7 and last.isdecimal() else None


def _are_numbered(numbers: Sequence[int | None]) -> bool:
    """Return True if the cues of a file have numbers; a file without them may have captions that are numbers."""
    ascending = sum(a is not None and b == a + 1 for a, b in pairwise(numbers))
    return bool(numbers) and (numbers[0] is not None or 2 * ascending >= len(numbers) - 1 > 0)


def _without_last(body: list[str]) -> list[str]:
    """Return the lines without the last one that has text."""
    last = max(i for i, line in enumerate(body) if line.strip())
    return body[:last]


def _split_untimed(body: Sequence[str], number: int | None) -> list[list[str]]:
    """Split off the blocks whose timing line is missing: an empty line, the next number, and text."""
    blocks: list[list[str]] = [[]]
    for i, line in enumerate(body):
        follows = number is not None and 0 < i < len(body) - 1 and line.strip() == str(number + 1)
        if follows and not body[i - 1].strip() and body[i + 1].strip():
            number = None if number is None else number + 1
            blocks.append([])
        else:
            blocks[-1].append(line)
    return blocks
