"""The error for a video, or a clip of it, that can't be used; training counts it by reason and continues."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "truncated",
    "undecodable",
    "no_video",
    "out_of_range",
    "missing",
    "unreadable",
    "original_missing",
    "low_rate",
    "not_finite",
]


class ClipFailed(Exception):
    """A video, or a clip of it, can't be used; `reason` is the name under which skips are counted."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason

    def __reduce__(self) -> tuple[type[ClipFailed], tuple[Reason, str]]:
        return ClipFailed, (self.reason, str(self))
