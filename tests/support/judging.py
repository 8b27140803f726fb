"""Evidence of one clip, and claims judged by simple judges: shared by the tests of grounding."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from hypothesis import strategies as st

from curation.captions.frame_captions import FrameCaption
from curation.grounding.cascade import Cascade, SeatedJudge
from curation.grounding.claims import CitedClaim, Claim, Verdict, cite
from curation.grounding.evidence import Evidence, gather_evidence
from curation.grounding.judge import Judge, Ruling
from curation.media.speech.transcript import Word
from curation.prompts.wording import in_sentences

FRAMES: Final = (
    FrameCaption(2.0, "a man chops onions in a kitchen without a hat"),
    FrameCaption(12.0, "three small dogs run on green grass"),
    FrameCaption(22.5, "A sign that says Open near 12 parked cars"),
)
SAID: Final = "now we add the shallots from Lyon"
WORDS: Final = tuple(Word(3.2 + i, 4.0 + i, text) for i, text in enumerate(SAID.split()))
EVIDENCE: Final = gather_evidence(FRAMES, WORDS)

VOCABULARY: Final = st.sampled_from(
    ["a", "the", "man", "dog", "dogs", "hat", "onions", "3", "three", "12", "not", "without", "no", "and", "Paris",
     "W1", "Buy", "run", "near", ",", "."]
)  # fmt: skip
PHRASES: Final = st.lists(VOCABULARY, max_size=9).map(" ".join) | st.text(max_size=30)
CITED: Final = st.lists(st.sampled_from(["F1", "F2", "F3", "F4", "W1", "W2", "frame@2.0", "words@9-9", ""]), max_size=5)
CLAIMS: Final = st.lists(st.builds(Claim, PHRASES, CITED.map(tuple)), max_size=6)


class Scoring:
    """A judge that scores each claim by a function of its text, and keeps the batches that it was asked about."""

    def __init__(self, score: Callable[[str], Ruling | float | None]) -> None:
        self._score = score
        self.batches: list[list[str]] = []

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        return True

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        self.batches.append([claim.text for claim in claims])
        rulings = [self._score(claim.text) for claim in claims]
        return [ruling if isinstance(ruling, Ruling) else Ruling(ruling) for ruling in rulings]


def seat(name: str, judge: Judge, threshold: float = 0.5, stands_for: str = "") -> SeatedJudge:
    """Return a judge with its place in a cascade."""
    return SeatedJudge(name, judge, threshold, tuple(stands_for.split()))


def verdicts(
    seats: Sequence[SeatedJudge],
    claims: Iterable[Claim],
    evidence: Sequence[Evidence] = EVIDENCE,
    *,
    require: Sequence[str] = (),
    counts: Counter[str] | None = None,
) -> list[Verdict]:
    """Return the verdicts of a cascade on the claims of one clip; without `require` all judges must agree."""
    cascade = Cascade(seats, require or [each.name for each in seats])
    cited = {"clip": cite(claims, evidence)}
    return asyncio.run(cascade.verify(cited, Counter() if counts is None else counts))["clip"]


def is_made_of(text: str, claims: Iterable[str]) -> bool:
    """Return True if a text is claims as sentences, joined as their scripts are, and nothing else."""
    left = text
    for sentence in sorted({in_sentences([claim]) for claim in claims}, key=len, reverse=True):
        left = left.replace(sentence, "")
    return not left.strip()
