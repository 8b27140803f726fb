"""YouTube's ids in annotation files: alone, or followed by the span that a benchmark uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from runtime.errors import UserError

_ID: Final = re.compile(r"[0-9A-Za-z_-]{11}")
_WITH_SPAN: Final = re.compile(r"([0-9A-Za-z_-]{11})_(\d+)_(\d+)")


def youtube_id(path: Path, video: str) -> str:
    """Return the canonical id of a video of YouTube.

    Raises:
        UserError: it is none; names the file.
    """
    if _ID.fullmatch(video) is None:
        raise UserError(f"{path}: {video!r} is no id of YouTube (eleven letters, digits, - or _)")
    return f"youtube:{video}"


def youtube_span(path: Path, name: str) -> tuple[str, tuple[float, float]]:
    """Return the canonical id and the span in seconds of a name such as ``eyhzdC936uk_15_27``.

    Raises:
        UserError: the name is of another form.
    """
    match = _WITH_SPAN.fullmatch(name)
    if match is None:
        raise UserError(f"{path}: {name!r} is no YouTube id with its span (such as eyhzdC936uk_15_27)")
    return f"youtube:{match[1]}", (float(match[2]), float(match[3]))
