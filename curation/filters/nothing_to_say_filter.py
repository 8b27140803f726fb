"""Keep clips that have speech, a caption, or grounded text."""

from __future__ import annotations

from typing import Final

from curation.filters.clip_filter import ClipFacts, ClipFilter
from runtime.settings import Settings


class NothingToSayFilterSettings(Settings):
    """Switch of the filter."""

    nothing_to_say: bool = True
    """Mark clips that have neither speech, nor a caption, nor grounded text (`nothing_to_say`)."""


def _keeps(clip: ClipFacts, settings: NothingToSayFilterSettings) -> bool:
    return not settings.nothing_to_say or bool(clip.subtitle.strip() or clip.caption or clip.grounded_text)


NOTHING_TO_SAY_FILTER: Final = ClipFilter("nothing_to_say", NothingToSayFilterSettings, _keeps)
