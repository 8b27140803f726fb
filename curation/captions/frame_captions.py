"""Frame captions of a clip, joined into one text.

A frame caption says what the captioner saw in one keyframe. The rewrite stage (`curation.text`) and the evidence of a
clip (`curation.grounding.evidence`) are built from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from curation.prompts.wording import in_sentences


@dataclass(frozen=True)
class FrameCaption:
    """The caption of one keyframe."""

    time: float
    """Seconds of the video."""
    text: str


def join_captions(captions: Iterable[FrameCaption]) -> str | None:
    """Join the captions of a clip in time order without repetitions; return None if there is no caption."""
    return in_sentences(caption.text for caption in sorted(captions, key=lambda caption: caption.time)) or None
