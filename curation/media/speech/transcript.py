"""The units of speech of a video: words, sentences, and a transcript."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runtime.text.word_units import join_pieces


@dataclass(frozen=True)
class Word:
    """A unit of speech that no cut may fall into, in seconds of the video.

    One spoken word if word times are known; a whole cue if only cues have times.
    """

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Sentence:
    """Consecutive words that belong together; the video is cut between sentences only."""

    words: tuple[Word, ...]

    @property
    def start(self) -> float:
        """Start of the first word, in seconds."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """End of the last word, in seconds."""
        return self.words[-1].end

    @property
    def text(self) -> str:
        """The words as one text; see `join_words`."""
        return join_words(self.words)


@dataclass(frozen=True)
class Transcript:
    """All speech of one video, monotone: no word starts before the previous one ends."""

    words: tuple[Word, ...] = ()
    language: str | None = None
    """ISO 639-1 code, if known."""
    origin: str = "none"
    """``manual``, ``auto``, ``asr:<model>`` or ``none``."""
    read_share: float = 1.0
    """Share of a subtitle file's cues that could be read."""


def join_words(words: Iterable[Word]) -> str:
    """Return the text of `words`, separated by single spaces where their script has them."""
    return join_pieces(word.text for word in words)


def words_within(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """Return the words whose middle is in ``[start, end)``; each word belongs to exactly one of adjacent spans."""
    return tuple(word for word in words if start <= (word.start + word.end) / 2 < end)
