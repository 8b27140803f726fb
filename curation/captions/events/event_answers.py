"""A model's answer to the prompt for events: its JSON schema, and the events in it. Pure.

An answer that is not in the requested form yields no events and never raises. What is left out is counted by reason.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from curation.prompts.answer_flaws import Flaw, flaw_of, sound_part
from curation.prompts.model_answers import spoken_answer, without_markup
from curation.prompts.model_json import JsonObject, answer_object
from curation.prompts.same_statement import same_words
from curation.prompts.text_language import is_foreign
from curation.prompts.wording import cut_to, ends_whole, tidy

EventFlaw = Flaw | Literal["garbage", "outside", "backwards", "repeated", "language"]
"""Why an answer or an event is left out: no text that says anything, no JSON of the form, a time outside the clip, an
end before its start, the event before it once more, or another language than that of the prompt."""

_SLACK: Final = 1.0
"""Seconds by which a time may be outside the clip: the last frame may be taken for its end."""
_NUMBER: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:s|sec|seconds)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class ClipEvent:
    """An event: a sentence with its start and end."""

    start: float
    """Seconds from the start of the clip."""
    end: float
    text: str


@dataclass(frozen=True)
class EventLimits:
    """Limits that the events of a clip must keep."""

    seconds: float
    """Length of the clip."""
    max_events: int
    event_chars: int
    language: str | None = None
    """ISO 639-1 code of the language that was asked in; None: any."""


def event_schema(max_events: int, event_chars: int) -> dict[str, Any]:
    """Return the JSON schema of an answer; one for all clips, so that an engine compiles it once."""
    event = {
        "type": "object",
        "properties": {
            "start": {"type": "number", "minimum": 0},
            "end": {"type": "number", "minimum": 0},
            "text": {"type": "string", "maxLength": event_chars},
        },
        "required": ["start", "end", "text"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"events": {"type": "array", "items": event, "maxItems": max_events}},
        "required": ["events"],
        "additionalProperties": False,
    }


def parse_events(
    text: str, limits: EventLimits, counts: Counter[EventFlaw], *, is_cut: bool = False
) -> list[ClipEvent] | None:
    """Return the events in an answer in order of time; None if it holds no JSON of the form.

    Args:
        text: the answer.
        limits: of the clip.
        counts: what is left out, by reason, is added to it.
        is_cut: the answer ended at its limit of tokens; its whole events are kept.
    """
    values = answer_object(text, _is_answer, is_cut=is_cut)
    if values is None:
        counts[flaw_of(tidy(without_markup(spoken_answer(text)))) or "garbage"] += 1
        return None
    events: list[ClipEvent] = []
    for item in values["events"]:
        event = _event(item, limits)
        if isinstance(event, ClipEvent):
            events.append(event)
        else:
            counts[event] += 1
    events.sort(key=lambda event: event.start)
    merged = merge_repeated(events)
    counts["repeated"] += len(events) - len(merged)
    return merged[: limits.max_events]


def merge_repeated(events: Iterable[ClipEvent], gap: float = math.inf) -> list[ClipEvent]:
    """Join events that say the same as the one before them into one event over both spans.

    Args:
        events: in order of time.
        gap: most seconds between two that are joined.
    """
    merged: list[ClipEvent] = []
    for event in events:
        last = merged[-1] if merged else None
        if last and event.start - last.end <= gap and same_words(last.text, event.text):
            merged[-1] = replace(last, end=max(last.end, event.end))
        else:
            merged.append(event)
    return merged


def _is_answer(values: JsonObject) -> bool:
    return isinstance(values.get("events"), list)


def _event(item: object, limits: EventLimits) -> ClipEvent | EventFlaw:
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        return "garbage"
    start, end = (_seconds(item.get(name)) for name in ("start", "end"))
    if start is None or end is None:
        return "garbage"
    if start > limits.seconds or end > limits.seconds + _SLACK:
        return "outside"
    if start > end:
        return "backwards"
    text = tidy(without_markup(item["text"]))
    if flaw := flaw_of(text):
        return flaw
    if is_foreign(text, limits.language):
        return "language"
    room = limits.event_chars if ends_whole(text) else limits.event_chars - 1  # a grammar ends a text within a word
    return ClipEvent(start, min(end, limits.seconds), cut_to(sound_part(text), room))


def _seconds(value: object) -> float | None:
    """Return a time as a number; None if it is not a finite number."""
    if isinstance(value, str) and (match := _NUMBER.fullmatch(value)):
        value = float(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
