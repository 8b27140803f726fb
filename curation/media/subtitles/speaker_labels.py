"""Tell the name of a speaker before a colon (``REPORTER: The bridge is open.``) from speech that has a colon.

Capitals mark a name only where the rest of the cue is not in capitals itself. Where it is, a name must be short and
either follow a turn mark (``>>``) or be repeated in the track. When in doubt the text stays: a name too much does less
harm than words too few.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LABEL: Final = re.compile(r"^[ \x1e>»–—‐-]{0,20}([^\W\d_][\w'’.,&#/ \x1e-]{1,40}):(?=[\s\x1e]|$)", re.MULTILINE)
_CAPITALS: Final = re.compile(r"\b[^\W\d_][\w-]+\b")
_GLUED_NUMBER: Final = re.compile(r"[^\W\d_]-?\d")  # COVID-19, MP3
_MOST_WORDS: Final = 4
_MOST_SHOUTED_WORDS: Final = 3
_NO_NAME: Final = re.compile(
    "a|am|an|answer|are|be|but|can|could|did|do|does|example|for|get|had|has|have|he|her|here|his|how|i|if|in|is|its?"
    "|let|me|my|no|not|note|only|or|our|please|question|remember|rule|she|should|so|that|their|there|they|things?|this"
    "|tip|to|warning|was|we|were|what|when|where|which|who|why|will|with|would|yes|you|your",
    re.IGNORECASE,
)
REST: Final = 300
"""Characters after a colon that `SpeakerLabels.is_name` looks at."""


@dataclass(frozen=True)
class SpeakerLabels:
    """Evidence from a whole track on the words before its colons."""

    repeated: frozenset[str] = frozenset()
    """Texts in capitals before a colon at the start of two lines or more."""
    spoken: frozenset[str] = frozenset()
    """Words in capitals within running text: acronyms."""

    def is_name(self, label: str, rest: str, *, turn: bool = False) -> bool:
        """Return True if `label` names who speaks.

        Args:
            label: the text before the colon; may have breaks in it.
            rest: the text of the cue after the colon, at most `REST` characters.
            turn: a turn mark stands before it; then a name need not be in capitals.
        """
        name = _normal(label)
        words = re.findall(r"[\w'’#.-]+", name)
        if sum(c.isalpha() for c in name) < 2 or not (name.isupper() or (turn and name[0].isupper())):
            return False
        if len(words) > _MOST_WORDS or _GLUED_NUMBER.search(name) or name in self.spoken:
            return False
        if any(map(_NO_NAME.fullmatch, words)):
            return False
        letters = [c for c in rest if c.isalpha()]
        if letters and not any(c.islower() for c in letters) and any(c.isupper() for c in letters):
            return len(words) <= _MOST_SHOUTED_WORDS and (turn or name in self.repeated)
        return name in self.repeated or not rest.lstrip(" \n\x1e\"'“‘(¿¡")[:1].islower()


def find_labels(texts: Iterable[str]) -> SpeakerLabels:
    """Return the labels of a track from the texts of its cues."""
    labels: Counter[str] = Counter()
    spoken: set[str] = set()
    for text in texts:
        labels.update(name for name in map(_normal, _LABEL.findall(text)) if name.isupper())
        running = _LABEL.sub("", text)
        if any(c.islower() for c in running):
            spoken.update(word for word in _CAPITALS.findall(running) if word.isupper())
    return SpeakerLabels(frozenset(name for name, count in labels.items() if count > 1), frozenset(spoken))


def _normal(label: str) -> str:
    return " ".join(label.replace("\x1e", "").split())
