"""Read SubStation Alpha (``.ass``, ``.ssa``) into cues, in time linear in its size.

Written here and not left to pysubs2, whose patterns take quadratic time over unclosed override blocks: a file of a few
megabytes would keep a worker busy for a day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from curation.media.subtitles.cue_blocks import cue_of
from curation.media.subtitles.cues import Cue
from curation.media.subtitles.time_stamps import read_stamp

_FIELDS: Final = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
_DRAWING: Final = re.compile(r"\\p(\d)")
_BREAKS: Final = re.compile(r"\\[Nn]")


def substation_cues(text: str) -> Iterator[Cue | None]:
    """Yield the dialogue of SubStation Alpha; None for a line whose start can't be read. Comments are left out."""
    fields: Sequence[str] = _FIELDS
    section = ""
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped.lower()
            continue
        kind, colon, values = line.partition(":")
        kind = kind.strip().lower()
        if section != "[events]" or not colon:
            continue
        if kind == "format":
            named = [name.strip().lower() for name in values[:500].split(",")]
            fields = named if {"start", "end", "text"} <= set(named) else _FIELDS
        elif kind == "dialogue":
            yield from _dialogue(values, fields)


def _dialogue(values: str, fields: Sequence[str]) -> Iterator[Cue | None]:
    """Yield the cue of one line; its text is the last field and may have commas in it."""
    event = dict(zip(fields, values.split(",", len(fields) - 1), strict=False))
    start, end = read_stamp(event.get("start", "")), read_stamp(event.get("end", ""))
    times = None if start is None else (start, start if end is None else end)
    yield from cue_of(times, _BREAKS.sub("\n", _visible_text(event.get("text", ""))).split("\n"))


def _visible_text(text: str) -> str:
    r"""Return the text without override blocks (``{\i1}``) and without drawings (between ``{\p1}`` and ``{\p0}``)."""
    kept: list[str] = []
    at, drawing = 0, False
    while (first := text.find("{", at)) >= 0 and (last := text.find("}", first)) >= 0:
        if not drawing:
            kept.append(text[at:first])
        for scale in _DRAWING.findall(text, first, last):
            drawing = scale != "0"
        at = last + 1
    if not drawing:
        kept.append(text[at:])
    return "".join(kept)
