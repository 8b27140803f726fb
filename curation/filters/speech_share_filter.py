"""Keep clips in which words cover enough of the time."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from curation.filters.clip_filter import ClipFacts, ClipFilter
from runtime.settings import Settings


class SpeechShareFilterSettings(Settings):
    """Least share of speech."""

    min_speech_share: float = Field(default=0.0, ge=0, le=1)
    """Least share of the clip's time that is covered by speech (`speech_share`); 0: off."""


def _keeps(clip: ClipFacts, settings: SpeechShareFilterSettings) -> bool:
    return clip.speech_seconds >= settings.min_speech_share * clip.seconds


SPEECH_SHARE_FILTER: Final = ClipFilter("speech_share", SpeechShareFilterSettings, _keeps)
