"""Settings of transcription."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curation.engines.models.punctuator import PunctuationSettings
from curation.engines.models.speech_recognizer import AsrSettings
from runtime.language_tags import LanguageTag
from runtime.settings import Settings


class TranscribeSettings(Settings):
    """Settings of transcription: subtitles first, then speech recognition."""

    languages: tuple[LanguageTag, ...] = ()
    """Language tags of subtitles to prefer, best first; empty: any."""
    subtitles: Literal["prefer", "never"] = "prefer"
    """`prefer`: use subtitles of the site or inside the file if there are any; `never`: always recognize speech."""
    asr: AsrSettings | None = AsrSettings()
    """Speech recognition for videos without usable subtitles; null: such videos have no words."""
    window_seconds: float = Field(default=600.0, ge=30, le=600)
    """Longest window of sound that is recognized at once, in seconds."""
    punctuation: PunctuationSettings | None = None
    """Model that restores punctuation in words without any; null: pauses decide where sentences end."""
