"""Text that is read in several stills is one observation, from its first sighting to its last. Pure.

Lines below each other are one text (a title on two lines). A reading that differs in a few letters is the same text
read less well: of all readings the surest is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

import regex

from curation.captions.observation import Observation
from curation.captions.screen_text.text_recognizer import TextLine
from curation.prompts.wording import cut_to
from runtime.text.word_units import join_pieces

_SAME: Final = 0.85
"""Share of letters in common from which two readings are the same text."""
_SAME_WORD: Final = 0.6
"""The same for each pair of words: *open* and *closed* are two words, *onlons* and *onions* one."""
_GAP: Final = 0.9
"""Distance of two lines of one text, in heights of a line."""
_TALLER: Final = 1.6
"""Ratio of heights from which two lines are different texts."""
_LEAST_LETTERS: Final = 2
_MISSED: Final = 1
"""Pictures in a row in which a text may be overlooked while it is shown."""
_LETTER: Final = regex.compile(r"[\p{L}\p{N}]")


@dataclass(frozen=True)
class ReadPicture:
    """The lines that were read in one still."""

    time: float
    """Seconds of the video."""
    lines: Sequence[TextLine]


@dataclass
class _Shown:
    text: str
    confidence: float
    share: float
    start: float
    end: float
    last: int
    """Number of the last picture that shows it."""


def texts_over_time(root: str, pictures: Iterable[ReadPicture], max_chars: int) -> list[Observation]:
    """Return the texts that were read in a root's stills, each once, in order of time.

    Args:
        root: key of the root.
        pictures: its stills in order of time.
        max_chars: longer texts are cut.
    """
    shown: list[_Shown] = []
    for number, picture in enumerate(pictures):
        for block in blocks_of(picture.lines):
            _see(shown, block, picture.time, number)
    return [
        Observation(root, "text", each.start, each.end, cut_to(each.text, max_chars), each.confidence, each.share)
        for each in shown
    ]


def blocks_of(lines: Iterable[TextLine]) -> list[TextLine]:
    """Join lines of about one height that are right below each other; leave out what has hardly any letters."""
    blocks: list[tuple[TextLine, TextLine]] = []  # the block, and its last line
    for line in sorted(lines, key=lambda line: (line.top, line.left)):
        place = next((n for n, (_, last) in enumerate(blocks) if _continues(last, line)), None)
        if place is None:
            blocks.append((line, line))
        else:
            blocks[place] = (_joined(blocks[place][0], line), line)
    return [block for block, _ in blocks if len(_LETTER.findall(block.text)) >= _LEAST_LETTERS]


def _continues(above: TextLine, below: TextLine) -> bool:
    height, other = above.bottom - above.top, below.bottom - below.top
    alike = max(height, other) <= _TALLER * min(height, other)
    near = -0.5 * height <= below.top - above.bottom <= _GAP * height
    overlap = min(above.right, below.right) - max(above.left, below.left)
    return alike and near and 2 * overlap > min(above.right - above.left, below.right - below.left)


def _joined(above: TextLine, below: TextLine) -> TextLine:
    return TextLine(
        join_pieces([above.text, below.text]),
        min(above.confidence, below.confidence),
        min(above.left, below.left),
        above.top,
        max(above.right, below.right),
        below.bottom,
    )


def _see(shown: list[_Shown], block: TextLine, time: float, number: int) -> None:
    recent = (each for each in shown if 0 < number - each.last <= 1 + _MISSED)
    same = next((each for each in recent if _is_same(each.text, block.text)), None)
    if same is None:
        shown.append(_Shown(block.text, block.confidence, block.share, time, time, number))
        return
    if block.confidence > same.confidence:
        same.text, same.confidence = block.text, block.confidence
    same.share, same.end, same.last = max(same.share, block.share), time, number


def _is_same(one: str, other: str) -> bool:
    """Return True for two readings of one text; a figure or a whole word that has changed makes it another text."""
    first, second = one.casefold(), other.casefold()
    if _letters(first) == _letters(second):
        return True
    pairs = list(zip(first.split(), second.split(), strict=False))
    whole = len(pairs) == len(first.split()) == len(second.split())
    return (
        whole
        and _digits(first) == _digits(second)
        and _ratio(first, second) >= _SAME
        and all(_ratio(word, read) >= _SAME_WORD for word, read in pairs)
    )


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _letters(text: str) -> str:
    return "".join(_LETTER.findall(text))


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())
