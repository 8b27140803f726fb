"""Reads JSON from a model's answer."""

from __future__ import annotations

import json
from typing import Any


def first_json_object(text: str) -> dict[str, Any] | None:
    """Return the first JSON object in `text`, which may have fences and words around it; None without an object."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        values, _ = json.JSONDecoder(strict=False).raw_decode(text, start)  # grammars let raw tabs through
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None
