"""Texts that are longer than the text tower takes: counted, and cut at its last token or at sentences.

Runs in the decoding workers, where texts are tokenised (`training.data.clip_collate`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from training.data.order.epoch_order import rng_of

Way = Literal["cut", "sentences"]
"""The treatment of a text that is too long."""

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


@dataclass(frozen=True)
class LongTexts:
    """Finds the texts that do not fit, and takes some of their sentences; can be pickled into a worker."""

    count: Callable[[str], int]
    """Number of tokens of a whole text, with those that begin and end it."""
    limit: int
    """Tokens that the text tower takes."""
    way: Way = "cut"

    def fits(self, text: str) -> bool:
        """Return True if the whole text is seen by the text tower."""
        return len(text.encode()) + 2 <= self.limit or self.count(text) <= self.limit

    def shortened(self, text: str, *seed: object) -> str:
        """Return some consecutive sentences of a text that does not fit, or the text itself for `cut`.

        Args:
            text: that does not fit; the tokenizer cuts whatever is still too long.
            seed: of the draw of the first sentence.
        """
        sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence]
        if self.way == "cut" or len(sentences) < 2:
            return text
        first = int(rng_of(*seed).random() * len(sentences))
        taken = sentences[first]
        for sentence in sentences[first + 1 :]:
            longer = f"{taken} {sentence}"
            if not self.fits(longer):
                break
            taken = longer
        return taken
