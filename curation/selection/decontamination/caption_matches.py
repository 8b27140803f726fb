"""Matches by caption: texts of a clip, or of its video's page, that hold runs of words of a benchmark's caption.

As for language models (Brown et al. 2020), runs of some words are compared; a caption with fewer words says too little.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from curation.selection.decontamination.benchmark_items import BenchmarkItem
from curation.selection.decontamination.match import Match

_WORD: Final = re.compile(r"\w+")
_SHOWN: Final = 80


def runs_of_words(text: str, words: int) -> set[str]:
    """Return all runs of so many words of a text, in lower case and without punctuation."""
    found = _WORD.findall(text.lower())
    return {" ".join(found[at : at + words]) for at in range(len(found) - words + 1)}


@dataclass
class CaptionIndex:
    """The runs of words of a benchmark's captions."""

    words: int
    captions: list[tuple[str, str, int]] = field(default_factory=list)
    """Item, caption and number of runs of each caption that is looked for."""
    too_short: int = 0
    """Captions with fewer words."""
    _by_run: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Sequence[BenchmarkItem], words: int) -> CaptionIndex:
        """Build the index of all captions of some items."""
        index = cls(words)
        for item in items:
            for text in item.texts:
                index._add(item.id, text)
        return index

    def _add(self, item: str, text: str) -> None:
        runs = runs_of_words(text, self.words)
        if not runs:
            self.too_short += 1
            return
        for run in runs:
            self._by_run.setdefault(run, []).append(len(self.captions))
        self.captions.append((item, text, len(runs)))

    def found_in(self, text: str) -> Mapping[int, int]:
        """Return for each caption how many of its runs a text holds."""
        hits = (self._by_run.get(run, ()) for run in runs_of_words(text, self.words))
        return Counter(caption for own in hits for caption in own)


def caption_matches(index: CaptionIndex, texts: Iterator[tuple[int, str, str]], share: float) -> Iterator[Match]:
    """Yield the matches.

    Args:
        index: of the benchmark's captions.
        texts: number of a clip, name of the text, text.
        share: least share of a caption's runs.
    """
    for clip, name, text in texts:
        for number, runs in index.found_in(text).items():
            item, caption, total = index.captions[number]
            if runs / total >= share:
                reason = f"{name} has {runs} of {total} runs of {index.words} words of: {caption[:_SHOWN]}"
                yield Match(np.array([clip], np.int64), item, "caption", runs / total, reason)
