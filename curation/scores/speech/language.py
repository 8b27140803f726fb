"""Language: the language that a clip's text is written in, by py3langid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import Field

from curation.prompts.text_language import probabilities
from curation.scores.scorer import ScoreColumn, ScoredClip, ScoreKind, Scorer, Value
from runtime.settings import Settings

_OF_MEDIA: Final = "subtitle"


class LanguageScoreSettings(Settings):
    """The language of a text."""

    column: Literal["subtitle", "grounded_text", "caption"] = "subtitle"
    """The text: of the speech, or of the text layer."""
    min_letters: int = Field(default=12, ge=1)
    """Letters from which a text is long enough to be told; with fewer both columns are null."""


class LanguageScorer(Scorer[Any]):
    """Names the language of texts."""

    def __init__(self, settings: LanguageScoreSettings) -> None:
        self._settings = settings

    def score(self, clip: ScoredClip[Any]) -> Mapping[str, Value]:
        """Return the likeliest language and its probability."""
        text = self._text(clip)
        if sum(map(str.isalpha, text)) < self._settings.min_letters:
            return {"text_language": None, "text_language_probability": None}
        language, probability = max(probabilities(text).items(), key=lambda each: each[1])
        return {"text_language": language, "text_language_probability": probability}

    def _text(self, clip: ScoredClip[Any]) -> str:
        column = self._settings.column
        row: Mapping[str, Any] = clip.row if column == _OF_MEDIA else clip.text or {}
        return row.get(column) or ""


LANGUAGE: Final = ScoreKind(
    name="language",
    summary="Language that the text of a clip is written in.",
    settings=LanguageScoreSettings,
    columns=lambda settings: [
        ScoreColumn("text_language", "ISO 639-1; null without text, or with too little", pa.string()),
        ScoreColumn("text_language_probability", "its probability", low=0, high=1),
    ],
    build=LanguageScorer,
    needs_texts=lambda settings: settings.column != _OF_MEDIA,
    programs=("py3langid",),
)
