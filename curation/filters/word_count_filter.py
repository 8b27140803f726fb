"""Keep clips whose subtitle has as many words as the settings of its level allow."""

from __future__ import annotations

from typing import Final

from pydantic import Field, model_validator

from curation.filters.clip_filter import ClipFacts, ClipFilter
from runtime.settings import Settings
from runtime.text.word_units import count_words
from shards.schema import Level


class WordLimits(Settings):
    """Limits on the number of words in a clip's subtitle."""

    min: int = Field(default=0, ge=0)
    """Fewest words."""
    max: int | None = Field(default=None, ge=0)
    """Most words; null: no limit."""

    @model_validator(mode="after")
    def _in_order(self) -> WordLimits:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max={self.max} is below min={self.min}: no clip could be kept")
        return self


class WordCountFilterSettings(Settings):
    """Numbers of words to keep."""

    words: dict[Level, WordLimits] = Field(default_factory=dict)
    """Limits on the words of the subtitle, by level (`words`); a level that is not named has none."""


def _keeps(clip: ClipFacts, settings: WordCountFilterSettings) -> bool:
    limits = settings.words.get(clip.level)
    if limits is None:
        return True
    count = count_words(clip.subtitle)
    return limits.min <= count and (limits.max is None or count <= limits.max)


WORD_COUNT_FILTER: Final = ClipFilter("words", WordCountFilterSettings, _keeps)
