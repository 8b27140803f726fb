"""Evidence of one clip, and claims judged against evidence by the word matcher: shared by the tests of grounding."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from hypothesis import strategies as st

from curation.captions.frame_captions import FrameCaption
from curation.grounding.claims import Claim, Verdict, cite
from curation.grounding.evidence import Evidence, gather_evidence
from curation.grounding.verifier import verify
from curation.grounding.word_matcher import WordMatcher, WordMatcherSettings
from curation.media.speech.transcript import Word

FRAMES: Final = (
    FrameCaption(2.0, "a man chops onions in a kitchen without a hat"),
    FrameCaption(12.0, "three small dogs run on green grass"),
    FrameCaption(22.5, "A sign that says Open near 12 parked cars"),
)
SAID: Final = "now we add the shallots from Lyon"
WORDS: Final = tuple(Word(3.2 + i, 4.0 + i, text) for i, text in enumerate(SAID.split()))
EVIDENCE: Final = gather_evidence(FRAMES, WORDS)
STRICT: Final = WordMatcherSettings()

VOCABULARY: Final = st.sampled_from(
    ["a", "the", "man", "dog", "dogs", "hat", "onions", "3", "three", "12", "not", "without", "no", "and", "Paris",
     "W1", "Buy", "run", "near", ",", "."]
)  # fmt: skip
PHRASES: Final = st.lists(VOCABULARY, max_size=9).map(" ".join) | st.text(max_size=30)
CITED: Final = st.lists(st.sampled_from(["F1", "F2", "F3", "F4", "W1", "W2", "frame@2.0", "words@9-9", ""]), max_size=5)
CLAIMS: Final = st.lists(st.builds(Claim, PHRASES, CITED.map(tuple)), max_size=6)


def match_words(
    claims: Iterable[Claim], evidence: Sequence[Evidence], settings: WordMatcherSettings = STRICT
) -> list[Verdict]:
    """Return the verdicts of the word matcher alone."""
    cited = {"clip": cite(claims, evidence)}
    return asyncio.run(verify(cited, [WordMatcher(settings)], Counter()))["clip"]


def match_claim(text: str, *cited: str, settings: WordMatcherSettings = STRICT) -> Verdict:
    """Return the word matcher's verdict on one claim against `EVIDENCE`."""
    (verdict,) = match_words([Claim(text, cited)], EVIDENCE, settings)
    return verdict
