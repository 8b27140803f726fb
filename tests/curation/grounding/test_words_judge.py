"""The judge of repetitions: sure of what is repeated, silent about the rest."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.words_judge import WordsJudge


def seen(text: str) -> Evidence:
    return Evidence("frame@1.0", "F1", "frame", text)


def score(claim: str, *evidence: Evidence) -> float | None:
    (ruling,) = asyncio.run(WordsJudge().judge([CitedClaim(claim, evidence)], Counter()))
    return ruling.score


@pytest.mark.parametrize(
    ("claim", "caption"),
    [
        ("A man chops onions.", "a man  chops onions"),
        ("“A man chops onions”", "A man chops onions"),
        ("一个男人在切洋葱。", "一个男人在切洋葱"),
        ("Ein Mann schneidet Zwiebeln!", "ein Mann schneidet Zwiebeln"),
        ("A man ﬁlls a cup", "a man fills a cup"),
    ],
)
def test_a_claim_that_is_the_whole_caption_is_supported_in_every_language(claim: str, caption: str) -> None:
    assert score(claim, seen("a dog"), seen(caption)) == 1.0


@pytest.mark.parametrize(
    ("claim", "caption"),
    [
        ("a man smokes", "nobody believes that a man smokes"),
        ("a man chops", "a man chops onions"),
        ("onions chops a man", "a man chops onions"),
        ("a man catches a ball", "a man fails to catch a ball"),
        ("a robed man", "a man robs a bank"),
        ("the man walks in", "the man walks out"),
        ("few people", "most people"),
        ("a man chops onion", "a man chops onions"),
        ("", ""),
        ("...", "!"),
    ],
)
def test_of_every_other_claim_it_can_not_tell(claim: str, caption: str) -> None:
    assert score(claim, seen(caption)) is None


def test_what_was_only_said_is_not_repeated_evidence() -> None:
    said = Evidence("words@1.0-2.0", "W1", "words", "a dragon attacks Paris")
    assert score("A dragon attacks Paris", said) is None
    assert not WordsJudge().can_support([said])
