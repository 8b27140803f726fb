"""The filters, one line each, and the settings that are composed of theirs.

Filters mark clips and never remove any: the name of the first filter that does not keep a clip becomes its
`filter_reason` (`curation.selection.clip_marks`). By default only `nothing_to_say` is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import create_model

from curation.filters.clip_filter import ClipFacts, ClipFilter
from curation.filters.language_filter import LANGUAGE_FILTER
from curation.filters.nothing_to_say_filter import NOTHING_TO_SAY_FILTER
from curation.filters.speech_share_filter import SPEECH_SHARE_FILTER
from curation.filters.static_picture_filter import STATIC_PICTURE_FILTER
from curation.filters.word_count_filter import WORD_COUNT_FILTER
from runtime.settings import Settings

FILTERS: Final[tuple[ClipFilter, ...]] = (
    LANGUAGE_FILTER,
    WORD_COUNT_FILTER,
    SPEECH_SHARE_FILTER,
    STATIC_PICTURE_FILTER,
    NOTHING_TO_SAY_FILTER,
)
"""All filters, in the order in which their reasons win."""

if TYPE_CHECKING:

    class FilterSettings(Settings):
        """Settings of all filters."""

        def __init__(self, **values: Any) -> None: ...

else:
    FilterSettings = create_model(
        "FilterSettings",
        __base__=tuple(kind.settings for kind in reversed(FILTERS)),
        __module__=__name__,
        __doc__="Filters that mark clips as not to be kept: the settings of all of them.",
    )


def reason_to_drop(clip: ClipFacts, settings: FilterSettings) -> str | None:
    """Return the name of the first filter that does not keep the clip, or None if all keep it."""
    return next((kind.name for kind in FILTERS if not kind.keeps(clip, settings)), None)
