"""The form of a filter: a name, its settings, and a pure function that decides on one clip.

A filter is one file of this folder and one line of `curation.filters.filter_registry`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.settings import Settings
from shards.schema import Level


@dataclass(frozen=True)
class ClipFacts:
    """The facts of one clip that filters decide on."""

    level: Level
    seconds: float
    """Length of the clip."""
    language: str | None
    """Language code of the speech; None without speech."""
    subtitle: str
    caption: str | None
    """Frame captions of the clip as one text."""
    grounded_text: str | None
    speech_seconds: float
    """Time covered by words."""
    motion: float | None
    """Mean absolute luma difference between frames, 0 to 1; None if it was not measured."""


@dataclass(frozen=True)
class ClipFilter:
    """One filter."""

    name: str
    """The reason that is stored in `filter_reason` for the clips it drops; never change it."""
    settings: type[Settings]
    """Its settings; their names are also the names under `filters`, so no other filter may have them."""
    keeps: Callable[[ClipFacts, Any], bool]
    """Return True if the clip is kept; called with the clip and an instance of `settings`."""
