"""Settings of grouping words into sentences."""

from __future__ import annotations

from pydantic import Field

from runtime.settings import Settings


class SentenceSettings(Settings):
    """Settings of grouping words into sentences."""

    pause: float = Field(default=0.5, gt=0)
    """A silence of this many seconds ends a sentence in text without punctuation."""
    silence: float = Field(default=3.0, gt=0)
    """A silence of this many seconds ends a sentence in any text."""
    max_words: int = Field(default=50, ge=1)
    """A sentence with more words is split at its longest pause."""
    max_seconds: float = Field(default=20.0, gt=0)
    """A sentence longer than this many seconds is split at its longest pause."""
    punctuated_share: float = Field(default=0.02, gt=0, lt=1)
    """Text counts as punctuated if at least this share of its words end a sentence."""
