"""Repetition: the share of a clip's speech that says again what was said before (songs, loops of a recogniser).

It is the share of duplicate n-grams, as in the filters of Gopher (Rae et al., 2021, table A1), over a clip's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from curation.scores.scorer import ScoreColumn, ScoredClip, ScoreKind, Scorer, Value
from runtime.settings import Settings


class RepetitionSettings(Settings):
    """The score of repetition."""

    words: int = Field(default=3, ge=1, le=10)
    """Words of one n-gram."""


class RepetitionScorer(Scorer[Any]):
    """Counts n-grams that have been said before."""

    def __init__(self, settings: RepetitionSettings) -> None:
        self._words = settings.words

    def score(self, clip: ScoredClip[Any]) -> Mapping[str, Value]:
        """Return the share; None with fewer words than an n-gram has."""
        words = [word["text"].casefold().strip(".,;:!?\"'") for word in clip.words]
        grams = [tuple(words[at : at + self._words]) for at in range(len(words) - self._words + 1)]
        return {"repetition": 1 - len(set(grams)) / len(grams) if grams else None}


REPETITION: Final = ScoreKind(
    name="repetition",
    summary="Share of the speech that repeats itself.",
    settings=RepetitionSettings,
    columns=lambda settings: [
        ScoreColumn("repetition", "share of n-grams of words that were said before in the clip", low=0, high=1)
    ],
    build=RepetitionScorer,
)
