"""Speech: the share of a clip's time that words cover, and words a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from curation.scores.scorer import ScoreColumn, ScoredClip, ScoreKind, Scorer, Value
from runtime.settings import Settings


class SpeechSettings(Settings):
    """The scores of speech; they have no settings."""


class SpeechScorer(Scorer[Any]):
    """Counts words and their time."""

    def __init__(self, settings: SpeechSettings) -> None:
        self._settings = settings

    def score(self, clip: ScoredClip[Any]) -> Mapping[str, Value]:
        """Return both figures; 0 without speech."""
        return {
            "speech_share": min(clip.row["speech_seconds"] / clip.seconds, 1.0),
            "words_per_second": len(clip.words) / clip.seconds,
        }


SPEECH: Final = ScoreKind(
    name="speech",
    summary="Share of time with speech, and words a second.",
    settings=SpeechSettings,
    columns=lambda settings: [
        ScoreColumn("speech_share", "share of the clip's time that words cover", low=0, high=1),
        ScoreColumn("words_per_second", "words a second of the clip; people talk at 2 to 4", low=0),
    ],
    build=SpeechScorer,
)
