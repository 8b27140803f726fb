"""Named filters: each says *keep* or gives the reason why not. They mark clips, they never remove any.

A filter is a pure function of one clip and the settings. The first reason wins and becomes `filter_reason`;
`curation.text.rewrite_stage` counts reasons. All are off by default but `nothing_to_say`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import Field, model_validator

from runtime.settings import Settings
from shards.schema import Level


@dataclass(frozen=True)
class ClipFacts:
    """What the filters look at."""

    level: Level
    seconds: float
    language: str | None
    subtitle: str
    caption: str | None
    speech_seconds: float
    motion: float | None
    """Mean absolute luma difference between frames, 0 to 1; None where it was not measured."""


class WordLimits(Settings):
    """How many words the subtitle of a clip may have."""

    min: int = Field(default=0, ge=0)
    """Fewest words."""
    max: int | None = Field(default=None, ge=0)
    """Most words; null: no limit."""

    @model_validator(mode="after")
    def _in_order(self) -> WordLimits:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max={self.max} is below min={self.min}: no clip could be kept")
        return self


class FilterSettings(Settings):
    """Which clips are marked as not to be kept."""

    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of speech to keep (`language`); empty: all. Clips without speech have no language and pass."""
    words: dict[Level, WordLimits] = Field(default_factory=dict)
    """Limits on the words of the subtitle, by level (`words`); a level that is not named has none."""
    min_speech_share: float = Field(default=0.0, ge=0, le=1)
    """Least share of the clip's time that is covered by speech (`speech_share`); 0: off."""
    min_motion: float = Field(default=0.0, ge=0, le=1)
    """Least mean luma difference between frames (`static_picture`); 0: off. 0.002 finds stills and slides."""
    nothing_to_say: bool = True
    """Mark clips that have neither speech nor a caption (`nothing_to_say`)."""


Filter = Callable[[ClipFacts, FilterSettings], bool]
"""Whether the clip may stay."""


def language(clip: ClipFacts, settings: FilterSettings) -> bool:
    """Speech is in one of the languages asked for; region subtags (``en-GB``) don't count."""
    if not settings.languages or not clip.subtitle:
        return True
    return _primary(clip.language) in {_primary(code) for code in settings.languages}


def words(clip: ClipFacts, settings: FilterSettings) -> bool:
    """The subtitle has as many words as its level asks for."""
    limits = settings.words.get(clip.level, WordLimits())
    count = len(clip.subtitle.split())
    return limits.min <= count and (limits.max is None or count <= limits.max)


def speech_share(clip: ClipFacts, settings: FilterSettings) -> bool:
    """Enough of the clip's time is covered by words."""
    return clip.speech_seconds >= settings.min_speech_share * clip.seconds


def static_picture(clip: ClipFacts, settings: FilterSettings) -> bool:
    """Something moves; clips whose motion was not measured pass."""
    return clip.motion is None or clip.motion >= settings.min_motion


def nothing_to_say(clip: ClipFacts, settings: FilterSettings) -> bool:
    """There is speech or a caption."""
    return not settings.nothing_to_say or bool(clip.subtitle.strip() or clip.caption)


FILTERS: Final[tuple[Filter, ...]] = (language, words, speech_share, static_picture, nothing_to_say)


def reason_to_drop(clip: ClipFacts, settings: FilterSettings) -> str | None:
    """Name of the first filter that the clip does not pass, or None: keep it."""
    return next((keeps.__name__ for keeps in FILTERS if not keeps(clip, settings)), None)


def _primary(code: str | None) -> str:
    return (code or "").replace("_", "-").split("-")[0].casefold()
