"""Text that UTF-8 can hold: Python's strings may have halves of characters, as JSON from JavaScript cuts emoji."""

from __future__ import annotations

from collections.abc import Mapping


def sound_text(text: str) -> str:
    """Return `text` with neighbouring halves of a character joined, and single halves left out."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return text


def sound_value(value: object) -> object:
    """Return a value as JSON holds it with all of its texts sound, the names of fields included."""
    if isinstance(value, str):
        return sound_text(value)
    if isinstance(value, Mapping):
        return {sound_text(name) if isinstance(name, str) else name: sound_value(item) for name, item in value.items()}
    return [sound_value(item) for item in value] if isinstance(value, list | tuple) else value
