"""Rows of a caption set (`shards.schema.CAPTIONS`), one for each keyframe. Pure."""

from __future__ import annotations

from typing import TypedDict

from curation.engines.engine_interface import CaptionResult


class CaptionRow(TypedDict):
    """One row of a caption set.

    A row with a confidence but no caption: the captioner was not sure enough. A row with neither: the captioner failed.
    """

    root_key: str
    time: float
    """Seconds of the video."""
    caption: str | None
    confidence: float | None


def parse_keyframe_name(member: str) -> tuple[str, int]:
    """Split the name of a keyframe, ``<root_key>.<ms>.jpg``, into the root's key and the time in milliseconds."""
    root, _, rest = member.partition(".")
    milliseconds = rest.removesuffix(".jpg")
    return root, int(milliseconds) if milliseconds.isdecimal() else 0


def caption_row(member: str, result: CaptionResult) -> CaptionRow:
    """Return the row for the keyframe named `member`."""
    root, milliseconds = parse_keyframe_name(member)
    return CaptionRow(root_key=root, time=milliseconds / 1000, caption=result.caption, confidence=result.confidence)
