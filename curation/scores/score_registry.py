"""The scores, one line each, and the settings of the score stage that are composed of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, create_model, field_validator

from curation.scores.embeddings.embedding_score import EMBEDDING
from curation.scores.picture.black_frames import BLACK_FRAMES
from curation.scores.picture.blur import BLUR
from curation.scores.picture.brightness import BRIGHTNESS
from curation.scores.picture.frame_hashes import FRAME_HASHES
from curation.scores.picture.letterbox import LETTERBOX
from curation.scores.picture.looks import LOOKS
from curation.scores.picture.motion import MOTION
from curation.scores.picture.nsfw import NSFW
from curation.scores.picture.overlay import OVERLAY
from curation.scores.picture.split_screen import SPLIT_SCREEN
from curation.scores.picture.text_area import TEXT_AREA
from curation.scores.scorer import Column, ScoreKind, VectorColumn
from curation.scores.speech.language import LANGUAGE
from curation.scores.speech.repetition import REPETITION
from curation.scores.speech.speech_rate import SPEECH
from runtime.errors import nearest
from runtime.settings import Settings

SCORE_KINDS: Final[tuple[ScoreKind, ...]] = (
    BRIGHTNESS,
    MOTION,
    BLUR,
    BLACK_FRAMES,
    LETTERBOX,
    SPLIT_SCREEN,
    OVERLAY,
    TEXT_AREA,
    NSFW,
    LOOKS,
    FRAME_HASHES,
    SPEECH,
    REPETITION,
    LANGUAGE,
    EMBEDDING,
)
"""All scores, in the order of their columns."""


class _ScoreSettings(Settings):
    """The scores of a set, and the settings of each."""

    scores: tuple[str, ...] = ()
    """Names of the scores to compute (`docs/scores.md` lists them); none: the stage is left out."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    """Name of the set, `scores/<name>`; null: that of the text layer."""

    @field_validator("scores")
    @classmethod
    def _known(cls, scores: tuple[str, ...]) -> tuple[str, ...]:
        known = [kind.name for kind in SCORE_KINDS]
        for name in scores:
            if name not in known:
                raise ValueError(f"{name}: no such score{nearest(name, known)}")
        return scores

    def content(self) -> dict[str, Any]:
        """Return the settings that decide the scores: those of the scores in use, and the models of vectors."""
        made = {kind.name: values.content() for kind, values in used_scores(self)}
        vectors = {each.name: each.model for each in used_columns(self) if isinstance(each, VectorColumn)}
        return {"scores": made, **({"vectors": vectors} if vectors else {})}


if TYPE_CHECKING:

    class ScoreSettings(_ScoreSettings):
        """Settings of all scores."""

        def __init__(self, **values: Any) -> None: ...

else:
    ScoreSettings = create_model(
        "ScoreSettings",
        __base__=_ScoreSettings,
        __module__=__name__,
        __doc__=_ScoreSettings.__doc__,
        **{kind.name: (kind.settings, Field(kind.settings(), description=kind.summary)) for kind in SCORE_KINDS},
    )


def used_scores(settings: _ScoreSettings) -> Iterator[tuple[ScoreKind, Settings]]:
    """Yield the scores that the settings name, each with its own settings, in the order of the registry."""
    for kind in SCORE_KINDS:
        if kind.name in settings.scores:
            yield kind, getattr(settings, kind.name)


def used_columns(settings: _ScoreSettings) -> list[Column]:
    """Return the columns of all scores that the settings name, in order."""
    return [column for kind, values in used_scores(settings) for column in kind.columns(values)]
