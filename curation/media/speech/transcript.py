"""The units of speech that the media stage passes around: words, sentences, a transcript."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A stretch of speech that no cut may fall into, in seconds of the video.

    One spoken word where word times are known; a whole cue where only cues have times.
    """

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Sentence:
    """Consecutive words that belong together; cuts are made between sentences only."""

    words: tuple[Word, ...]

    @property
    def start(self) -> float:
        """Start of the first word, seconds."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """End of the last word, seconds."""
        return self.words[-1].end

    @property
    def text(self) -> str:
        """The words, one space between each."""
        return joined(self.words)


@dataclass(frozen=True)
class Transcript:
    """All speech of one video, monotone: each word starts where the one before ended, or later."""

    words: tuple[Word, ...] = ()
    language: str | None = None
    """ISO 639-1, where known."""
    origin: str = "none"
    """``manual``, ``auto``, ``asr:<model>`` or ``none``."""


def joined(words: Iterable[Word]) -> str:
    """The text of `words`, one space between each."""
    return " ".join(word.text for word in words)


def within(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """The words whose middle lies in ``[start, end)``; every word falls in exactly one of adjacent spans."""
    return tuple(word for word in words if start <= (word.start + word.end) / 2 < end)
