"""Reads JSON from a model's answer.

The answer is the last object of the right form outside the model's thoughts: what comes before it may be a draft, an
example or braces that are no JSON. An answer that was cut at its limit of tokens is read as far as it is complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic_core import from_json

from curation.prompts.model_answers import spoken_answer

_MOST_CHARS: Final = 100_000  # of an answer that is searched: far more than any request allows
_MOST_STARTS: Final = 50  # places tried as the beginning of an object that was cut
_DECODER: Final = json.JSONDecoder(strict=False)  # grammars let raw tabs through
_CONTROL: Final = dict.fromkeys(range(32), " ")
_HALF_CHARACTER: Final = re.compile(
    r"(?<!\\)\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}",
    re.IGNORECASE,
)

JsonObject = dict[str, Any]


def answer_object(text: str, accepts: Callable[[JsonObject], bool], *, is_cut: bool = False) -> JsonObject | None:
    """Return the last JSON object in an answer that is of the right form; None without one.

    Args:
        text: the answer. Fences, words, drafts and thoughts around the object are passed over.
        accepts: returns True for an object of the form that was asked for.
        is_cut: the answer ended at its limit of tokens. Of an object that breaks off, the values whose own object or
            array was closed are returned.
    """
    whole = _whole_object(text)
    if whole is not None:
        return whole if accepts(whole) else None
    spoken = spoken_answer(text[:_MOST_CHARS])
    objects, starts = _complete_objects(spoken)
    if is_cut and (partial := _broken_off(spoken, starts, accepts)):
        return partial
    return next((values for values in reversed(objects) if accepts(values)), None)


def _whole_object(text: str) -> JsonObject | None:
    """Return `text` as an object if it is nothing else; tags inside its strings are then text."""
    try:
        values = _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _complete_objects(text: str) -> tuple[list[JsonObject], list[int]]:
    """Return the JSON objects in order, and the positions of the braces that begin none."""
    objects: list[JsonObject] = []
    others: list[int] = []
    start = text.find("{")
    while start >= 0:
        try:
            values, end = _DECODER.raw_decode(text, start)
        except ValueError:
            others.append(start)
            end = start + 1
        except RecursionError:
            break
        else:
            objects.append(values)
        start = text.find("{", end)
    return objects, others


def _broken_off(text: str, starts: Sequence[int], accepts: Callable[[JsonObject], bool]) -> JsonObject | None:
    """Return the complete parts of the object that begins at one of `starts` and that `text` breaks off in."""
    for start in reversed(starts[-_MOST_STARTS:]):
        part = _HALF_CHARACTER.sub("", text[start:].translate(_CONTROL))
        inner = part.find("{", 1)
        end = part.rfind("}") + 1 or (inner if inner > 0 else len(part))
        try:
            values = from_json(part[:end], allow_partial=True)
        except ValueError:
            continue
        if isinstance(values, dict) and accepts(values):
            return values
    return None
