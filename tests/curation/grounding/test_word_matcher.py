"""The word matcher: which claims it supports, and that every word of theirs is in the evidence."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.judging import CLAIMS, PHRASES, WORDS, match_claim, match_words

from curation.captions.frame_captions import FrameCaption
from curation.grounding.claim_terms import terms
from curation.grounding.claims import Claim
from curation.grounding.evidence import gather_evidence
from curation.grounding.word_matcher import WordMatcherSettings, supports


@pytest.mark.parametrize(
    ("claim", "cited"),
    [
        ("A man is chopping an onion in the kitchen.", ["F1"]),
        ("The man chops onions", ["frame@2.0"]),
        ("3 dogs running on grass", ["F2"]),
        ("Three dogs and one sign", ["F2", "F3"]),
        ("Twelve cars are parked near a sign that says Open", ["f3"]),
        ("A man without a hat", ["F1"]),
    ],
)
def test_a_claim_in_the_words_of_its_frames_is_supported(claim: str, cited: list[str]) -> None:
    verdict = match_claim(claim, *cited)
    assert (verdict.verdict, verdict.reason) == ("supported", "")


@pytest.mark.parametrize(
    ("claim", "cited", "reason"),
    [
        ("A man chops onions with a knife", ["F1"], "words"),
        ("Four dogs run on grass", ["F2"], "number_or_name"),
        ("3 onions in a kitchen", ["F1", "F2"], "number_or_name"),
        ("A man named Peter chops onions", ["F1"], "number_or_name"),
        ("A man in a hat", ["F1"], "negation"),
        ("No dogs run on grass", ["F2"], "negation"),
        ("A man chops onions", ["F2"], "words"),
        ("There it is", ["F1"], "says_nothing"),
        ("A photo of the scene", ["F1"], "says_nothing"),
        ("The man 💰 chops onions", ["F1"], "number_or_name"),
    ],
)
def test_a_claim_that_says_more_than_its_frames_is_unsupported(claim: str, cited: list[str], reason: str) -> None:
    verdict = match_claim(claim, *cited)
    assert (verdict.verdict, verdict.reason) == ("unsupported", reason)


def test_a_number_must_count_the_same_thing() -> None:
    evidence = gather_evidence([FrameCaption(0.0, "three cats and two dogs")], ())
    verdicts = match_words([Claim("Two dogs", ("F1",)), Claim("Three dogs", ("F1",))], evidence)
    assert [verdict.verdict for verdict in verdicts] == ["supported", "unsupported"]


def test_an_article_counts_as_one() -> None:
    evidence = gather_evidence([FrameCaption(0.0, "a brown dog and some cats")], ())
    verdicts = match_words([Claim("One dog", ("F1",)), Claim("One cat", ("F1",))], evidence)
    assert [verdict.verdict for verdict in verdicts] == ["supported", "unsupported"]


def test_speech_alone_proves_nothing_visible() -> None:
    assert match_claim("Shallots from Lyon", "W1", "W2").reason == "no_frame"


def test_speech_lends_no_word_to_a_claim_by_default() -> None:
    assert match_claim("A man chops shallots in a kitchen", "F1", "W1").reason == "spoken"


def test_speech_may_lend_as_many_words_as_the_settings_say() -> None:
    settings = WordMatcherSettings(spoken_words=1)
    assert match_claim("A man chops shallots in a kitchen", "F1", "W1", settings=settings).verdict == "supported"
    assert match_claim("A man chops shallots from Lyon", "F1", "W1", "W2", settings=settings).reason == "spoken"


def test_speech_may_stand_alone_where_the_settings_say_so() -> None:
    settings = WordMatcherSettings(speech_alone=True)
    assert match_claim("Add shallots", "W1", settings=settings).verdict == "supported"
    assert match_claim("Add garlic", "W1", settings=settings).verdict == "unsupported"


def test_a_lower_coverage_lets_words_through_but_never_numbers_or_names() -> None:
    settings = WordMatcherSettings(min_coverage=0.7)
    assert match_claim("A man calmly chops onions", "F1", settings=settings).verdict == "supported"
    assert match_claim("A man chops 5 onions in a kitchen", "F1", settings=settings).reason == "number_or_name"
    assert (
        match_claim("A man chops onions in a kitchen like Bocuse", "F1", settings=settings).reason == "number_or_name"
    )


def test_a_summary_may_drop_words_but_add_no_name_and_turn_no_denial_round() -> None:
    source = ["now we add the shallots from Lyon, never any garlic"]
    assert supports(source, "Adding shallots from Lyon", 0.5)
    assert not supports(source, "Adding shallots from Paris", 0.5)
    assert not supports(source, "Adding garlic", 0.5)
    assert not supports(source, "Buy gold coins today", 0.5)


@settings(deadline=None)
@given(CLAIMS, st.lists(PHRASES, max_size=4))
def test_by_default_every_term_of_a_kept_claim_stands_in_a_frame_it_cites(
    claims: list[Claim], captions: list[str]
) -> None:
    evidence = gather_evidence([FrameCaption(float(i), text) for i, text in enumerate(captions)], WORDS)
    texts = {item.id: item.text for item in evidence if item.kind == "frame"}
    for verdict in match_words(claims, evidence):
        if verdict.verdict == "supported":
            seen = {term.form for id_ in verdict.evidence for term in terms(texts.get(id_, ""))} | {"#1"}
            assert {term.form for term in terms(verdict.text)} <= seen


@settings(deadline=None)
@given(PHRASES)
def test_a_caption_supports_itself(text: str) -> None:
    evidence = gather_evidence([FrameCaption(0.0, text)], ())
    assume(evidence and terms(evidence[0].text))
    (verdict,) = match_words([Claim(text, ("F1",))], evidence)
    assert verdict.verdict == "supported"
