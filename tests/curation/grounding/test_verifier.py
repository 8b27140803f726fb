"""The verifier: the order of judges, and the claims that no judge is asked about."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.judging import CLAIMS, EVIDENCE, PHRASES, WORDS, match_claim, match_words

from curation.captions.frame_captions import FrameCaption
from curation.grounding.claims import CitedClaim, Claim, cite
from curation.grounding.evidence import Evidence, gather_evidence
from curation.grounding.grounded_text import compose
from curation.grounding.judge import Ruling
from curation.grounding.verifier import verify
from curation.grounding.word_matcher import WordMatcherSettings
from curation.prompts.wording import in_sentences

SETTINGS = st.builds(
    WordMatcherSettings,
    min_coverage=st.sampled_from([0.0, 0.5, 1.0]),
    spoken_words=st.integers(0, 2),
    speech_alone=st.booleans(),
)


class Objecting:
    """A judge that objects to the claims that hold a word, and keeps the batches that it was asked about."""

    def __init__(self, word: str) -> None:
        self._word = word
        self.batches: list[list[str]] = []

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        return True

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        self.batches.append([claim.text for claim in claims])
        return [Ruling(self._word if self._word in claim.text else "") for claim in claims]


def test_each_judge_sees_the_claims_of_all_clips_that_passed_before_it() -> None:
    cited = {
        "a": cite([Claim("red dog", ("F1",)), Claim("blue dog", ("F1",))], EVIDENCE),
        "b": cite([Claim("green dog"), Claim("blue cat", ("F2",))], EVIDENCE),
    }
    judges = [Objecting("red"), Objecting("cat"), Objecting("never")]
    verdicts = asyncio.run(verify(cited, judges, Counter()))
    assert [judge.batches for judge in judges] == [
        [["red dog", "blue dog", "blue cat"]],
        [["blue dog", "blue cat"]],
        [["blue dog"]],
    ]
    assert {clip: [verdict.reason for verdict in found] for clip, found in verdicts.items()} == {
        "a": ["red", ""],
        "b": ["uncited", "cat"],
    }


def test_a_judge_is_not_asked_about_nothing() -> None:
    judge = Objecting("red")
    asyncio.run(verify({"a": cite([Claim("a dog")], EVIDENCE), "b": []}, [judge], Counter()))
    assert judge.batches == []


@pytest.mark.parametrize("cited", [[], ["F9"], ["frame@3.0", "W77"], ["the kitchen"]])
def test_a_claim_that_cites_nothing_that_exists_is_uncited(cited: list[str]) -> None:
    verdict = match_claim("A man chops onions", *cited)
    assert (verdict.verdict, verdict.evidence) == ("uncited", ())


def test_citations_that_do_not_exist_are_not_stored() -> None:
    assert match_claim("A man chops onions", "F9", "F1", "f1", "frame@2.0").evidence == ("frame@2.0",)


def test_repeated_claims_are_judged_once() -> None:
    claims = [Claim("A man chops onions", ("F1",)), Claim("a man chops onions ", ("F1",)), Claim("  ", ("F1",))]
    assert len(match_words(claims, EVIDENCE)) == 1


@settings(deadline=None)
@given(CLAIMS, st.lists(PHRASES, max_size=4), SETTINGS)
def test_kept_text_is_made_of_supported_claims_whose_evidence_exists(
    claims: list[Claim], captions: list[str], settings: WordMatcherSettings
) -> None:
    evidence = gather_evidence([FrameCaption(float(i), text) for i, text in enumerate(captions)], WORDS)
    outcome = compose(match_words(claims, evidence, settings), evidence, abstained=False)
    kept = [verdict for verdict in outcome.verdicts if verdict.verdict == "supported"]
    assert (outcome.text or "") == in_sentences(verdict.text for verdict in kept)
    assert all(verdict.evidence for verdict in kept)
    assert {id_ for verdict in outcome.verdicts for id_ in verdict.evidence} <= {item.id for item in evidence}
