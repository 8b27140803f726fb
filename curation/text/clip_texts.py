"""The texts of a clip before and after the rewrite."""

from __future__ import annotations

from dataclasses import dataclass

from curation.captions.frame_captions import FrameCaption
from curation.captions.observation import Observation
from curation.grounding.grounded_text import GroundedText
from curation.grounding.pixels.clip_pictures import ClipPictures
from curation.media.speech.transcript import Word
from shards.schema import Level


@dataclass(frozen=True)
class ClipTexts:
    """Speech of one clip and what was seen in it: the input of the rewrite."""

    key: str
    level: Level
    subtitle: str = ""
    words: tuple[Word, ...] = ()
    frames: tuple[FrameCaption, ...] = ()
    """Captions of its keyframes in time order."""
    observations: tuple[Observation, ...] = ()
    """Other observations, in order of time: events, on-screen text, objects."""
    failures: int = 0
    """Number of its keyframes and spans on which an observer failed."""
    pictures: ClipPictures | None = None
    """Its stills and its root's stored video, if a judge looks at them."""


@dataclass(frozen=True)
class RewrittenTexts:
    """The output of the rewrite for one clip."""

    caption: str | None
    subtitle_summary: str | None
    caption_summary: str | None
    grounded: GroundedText
