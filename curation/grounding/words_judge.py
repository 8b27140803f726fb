"""The judge of repetitions: a claim that repeats a cited item word for word, in order, is supported by it.

It is sure, costs nothing and knows all languages; of any other claim it can't tell. It stands for the judges of texts.
Capitals, punctuation at the ends and the width of spaces don't count; everything else does. Half an item is not enough:
``a man smokes`` is a part of ``nobody believes that a man smokes``.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.judge import JudgeKind, JudgeSettings, Ruling
from curation.prompts.wording import tidy

_ENDS: Final = " .!?…。！？।؟۔;,:\"'“”‘’«»„()[]"
_REPEATS: Final = Ruling(1.0)
_CAN_NOT_TELL: Final = Ruling(None, "not_repeated")


class WordsJudgeSettings(JudgeSettings):
    """The judge of word-for-word repetitions; its scores are 1 or none."""


class WordsJudge:
    """The judge of repetitions; a `curation.grounding.judge.Judge` that asks no model."""

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if there is anything to repeat that can be seen."""
        return any(item.is_seen for item in evidence)

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return one ruling for each claim, in order: accepted, or no score."""
        return [_REPEATS if repeats(claim) else _CAN_NOT_TELL for claim in claims]


def repeats(claim: CitedClaim) -> bool:
    """Return True if the claim is the whole of an item that it cites and that can be seen."""
    text = _plain(claim.text)
    return bool(text) and any(item.is_seen and _plain(item.text) == text for item in claim.evidence)


def _plain(text: str) -> str:
    return tidy(unicodedata.normalize("NFKC", text)).strip(_ENDS).casefold()


WORDS_JUDGE: Final = JudgeKind(
    "words", WordsJudgeSettings, build=lambda settings, resources: WordsJudge(), stands_for=("encoder", "parse", "text")
)
"""Stands for the judges of texts."""
