"""Keep clips whose speech is in one of the languages asked for."""

from __future__ import annotations

from typing import Final

from curation.filters.clip_filter import ClipFacts, ClipFilter
from runtime.settings import Settings


class LanguageFilterSettings(Settings):
    """Languages of speech to keep."""

    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of speech to keep (`language`); empty: all. Clips without speech have no language and pass."""


def _keeps(clip: ClipFacts, settings: LanguageFilterSettings) -> bool:
    """Compare primary subtags only: ``en-GB`` is ``en``."""
    if not settings.languages or not clip.subtitle:
        return True
    return _primary(clip.language) in {_primary(code) for code in settings.languages}


def _primary(code: str | None) -> str:
    return (code or "").replace("_", "-").split("-")[0].casefold()


LANGUAGE_FILTER: Final = ClipFilter("language", LanguageFilterSettings, _keeps)
