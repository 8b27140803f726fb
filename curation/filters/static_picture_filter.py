"""Keep clips whose picture moves; clips without a measured motion pass."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from curation.filters.clip_filter import ClipFacts, ClipFilter
from runtime.settings import Settings


class StaticPictureFilterSettings(Settings):
    """Least motion."""

    min_motion: float = Field(default=0.0, ge=0, le=1)
    """Least mean luma difference between frames (`static_picture`); 0: off. 0.002 finds stills and slides."""


def _keeps(clip: ClipFacts, settings: StaticPictureFilterSettings) -> bool:
    return clip.motion is None or clip.motion >= settings.min_motion


STATIC_PICTURE_FILTER: Final = ClipFilter("static_picture", StaticPictureFilterSettings, _keeps)
