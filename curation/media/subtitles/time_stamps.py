"""Read the timing lines of WebVTT and SubRip, also those that translators and editors have disfigured.

Seen in the wild and understood: a colon, semicolon or full-width comma before the milliseconds, spaces inside a time
stamp, digits of other scripts, an arrow that became a dash, text after the times (coordinates, WebVTT settings).
Everything is bounded, so that a line takes linear time.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_LONGEST: Final = 300  # characters of a timing line that are looked at
_ARROW: Final = re.compile(r"-[ \t]?-[ \t]?>|[-–—]>|[→⟶➔]|(?<=\d)[ \t][–—][ \t](?=\d)")
_SEPARATOR: Final = r"[ \t]{0,5}[:;.,٫،][ \t]{0,5}"
_STAMP: Final = re.compile(rf"[ \t]{{0,20}}(-?)[ \t]{{0,5}}(\d{{1,4}}(?:{_SEPARATOR}\d{{1,9}}){{1,3}})(?=\s|$)")
_FIELD: Final = re.compile(r"\d+|[:;.,٫،]")
_FRACTION: Final = frozenset(".,٫،")


def is_timing_line(line: str) -> bool:
    """Return True if a line is meant to say when a cue is shown, readable or not."""
    if "-->" in line:
        return any(c.isdigit() for c in line[:_LONGEST])
    return read_timing(line) is not None


def read_timing(line: str) -> tuple[float, float] | None:
    """Return start and end of a timing line in seconds; None if the start can't be read.

    A cue whose end can't be read ends as it starts.
    """
    head = unicodedata.normalize("NFKC", line[:_LONGEST])
    arrow = _ARROW.search(head)
    if arrow is None:
        return None
    before, after = _STAMP.fullmatch(head[: arrow.start()].rstrip()), _STAMP.match(head, arrow.end())
    start = None if before is None else _seconds(before)
    if start is None or (after is None and arrow[0] != "-->"):
        return None
    end = None if after is None else _seconds(after)
    return start, start if end is None else end


def read_stamp(text: str) -> float | None:
    """Return the seconds of a single time stamp; None if it can't be read."""
    stamp = _STAMP.fullmatch(unicodedata.normalize("NFKC", text[:_LONGEST]).rstrip())
    return None if stamp is None else _seconds(stamp)


def _seconds(stamp: re.Match[str]) -> float | None:
    """Return the seconds of a time stamp of two to four numbers; None if they are no time."""
    fields = _FIELD.findall(stamp[2])
    numbers, separators = fields[::2], fields[1::2]
    fraction = numbers.pop() if _has_fraction(numbers, separators) else "0"
    if len(numbers) not in (2, 3) or len(numbers[-1]) > 2 or len(numbers[-2]) > 3:
        return None
    hours, minutes, seconds = (int(number) for number in ["0", *numbers][-3:])
    value = hours * 3600 + minutes * 60 + seconds + int(fraction) / 10 ** len(fraction)
    return -value if stamp[1] else value


def _has_fraction(numbers: list[str], separators: list[str]) -> bool:
    """Return True if the last number is a part of a second."""
    if len(numbers) == 4:
        return True
    if len(numbers) < 3:
        return False
    return len(numbers[-1]) > 2 or (separators[-1] in _FRACTION and separators[0] not in _FRACTION)
