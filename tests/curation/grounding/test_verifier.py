"""The verifier: what counts as supported, and that nothing else is ever kept."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from curation.captions.frame_captions import FrameCaption, captions_between
from curation.grounding.claim_terms import fold, terms
from curation.grounding.evidence import fit, gather
from curation.grounding.verifier import Claim, GroundSettings, Verdict, conclude, reject, supports, verify
from curation.media.speech.transcript import Word
from curation.prompts.wording import in_sentences, middle_out, tidy, trim_words

FRAMES = (
    FrameCaption(2.0, "a man chops onions in a kitchen without a hat"),
    FrameCaption(12.0, "three small dogs run on green grass"),
    FrameCaption(22.5, "A sign that says Open near 12 parked cars"),
)
SAID = "now we add the shallots from Lyon"
WORDS = tuple(Word(3.2 + i, 4.0 + i, text) for i, text in enumerate(SAID.split()))
EVIDENCE = gather(FRAMES, WORDS)
STRICT = GroundSettings()


def judge(text: str, *cited: str, settings: GroundSettings = STRICT) -> Verdict:
    (verdict,) = verify([Claim(text, cited)], EVIDENCE, settings)
    return verdict


# Evidence


def test_evidence_is_named_by_seconds_of_the_video_and_labelled_in_time_order():
    evidence = gather(reversed(FRAMES), WORDS)
    assert [(item.id, item.label) for item in evidence if item.kind == "frame"] == [
        ("frame@2.0", "F1"),
        ("frame@12.0", "F2"),
        ("frame@22.5", "F3"),
    ]
    assert [(item.id, item.label) for item in evidence if item.kind == "words"] == [
        ("words@3.2-8.0", "W1"),
        ("words@8.2-10.0", "W2"),
    ]


def test_spans_of_words_hold_every_word_once_in_order():
    evidence = gather((), WORDS, span_seconds=2.0)
    assert " ".join(item.text for item in evidence).split() == [word.text for word in WORDS]


def test_frames_without_a_caption_are_no_evidence():
    assert gather([FrameCaption(1.0, "  ")], ()) == ()


def test_a_keyframe_on_the_border_of_two_clips_belongs_to_the_later_one_only():
    frames = [FrameCaption(10.0, "x")]
    assert captions_between(frames, 0.0, 10.0002) == ()
    assert captions_between(frames, 10.0002, 20.0) == tuple(frames)


def test_evidence_that_does_not_fit_loses_words_before_captions():
    small = fit(EVIDENCE, 200)
    assert sum(len(item.line) + 1 for item in small) <= 200
    assert {item.kind for item in small} == {"frame"}
    assert fit(EVIDENCE, 10_000) == EVIDENCE


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e5), st.text(max_size=20))), st.lists(st.floats(0, 1e4), max_size=20))
def test_ids_and_labels_are_unique_whatever_the_times(frames, starts):
    words = tuple(Word(start, start + 0.01, "word") for start in sorted(starts))
    evidence = gather([FrameCaption(time, text) for time, text in frames], words)
    assert len({item.id for item in evidence}) == len({item.label for item in evidence}) == len(evidence)


# What is supported


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
def test_a_claim_in_the_words_of_its_frames_is_supported(claim, cited):
    verdict = judge(claim, *cited)
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
def test_a_claim_that_says_more_than_its_frames_is_unsupported(claim, cited, reason):
    verdict = judge(claim, *cited)
    assert (verdict.verdict, verdict.reason) == ("unsupported", reason)


def test_a_number_must_count_the_same_thing():
    evidence = gather([FrameCaption(0.0, "three cats and two dogs")], ())
    verdicts = verify([Claim("Two dogs", ("F1",)), Claim("Three dogs", ("F1",))], evidence, STRICT)
    assert [verdict.verdict for verdict in verdicts] == ["supported", "unsupported"]


def test_an_article_counts_as_one():
    evidence = gather([FrameCaption(0.0, "a brown dog and some cats")], ())
    verdicts = verify([Claim("One dog", ("F1",)), Claim("One cat", ("F1",))], evidence, STRICT)
    assert [verdict.verdict for verdict in verdicts] == ["supported", "unsupported"]


@pytest.mark.parametrize("cited", [[], ["F9"], ["frame@3.0", "W77"], ["the kitchen"]])
def test_a_claim_that_cites_nothing_that_exists_is_uncited(cited):
    verdict = judge("A man chops onions", *cited)
    assert (verdict.verdict, verdict.evidence) == ("uncited", ())


def test_citations_that_do_not_exist_are_not_stored():
    assert judge("A man chops onions", "F9", "F1", "f1", "frame@2.0").evidence == ("frame@2.0",)


def test_speech_alone_proves_nothing_visible():
    assert judge("Shallots from Lyon", "W1", "W2").reason == "no_frame"


def test_speech_lends_no_word_to_a_claim_by_default():
    assert judge("A man chops shallots in a kitchen", "F1", "W1").reason == "spoken"


def test_speech_may_lend_as_many_words_as_the_settings_say():
    settings = GroundSettings(spoken_words=1)
    assert judge("A man chops shallots in a kitchen", "F1", "W1", settings=settings).verdict == "supported"
    assert judge("A man chops shallots from Lyon", "F1", "W1", "W2", settings=settings).reason == "spoken"


def test_speech_may_stand_alone_where_the_settings_say_so():
    settings = GroundSettings(speech_alone=True)
    assert judge("Add shallots", "W1", settings=settings).verdict == "supported"
    assert judge("Add garlic", "W1", settings=settings).verdict == "unsupported"


def test_a_lower_coverage_lets_words_through_but_never_numbers_or_names():
    settings = GroundSettings(min_coverage=0.7)
    assert judge("A man calmly chops onions", "F1", settings=settings).verdict == "supported"
    assert judge("A man chops 5 onions in a kitchen", "F1", settings=settings).reason == "number_or_name"
    assert judge("A man chops onions in a kitchen like Bocuse", "F1", settings=settings).reason == "number_or_name"


def test_repeated_claims_are_judged_once():
    claims = [Claim("A man chops onions", ("F1",)), Claim("a man chops onions ", ("F1",)), Claim("  ", ("F1",))]
    assert len(verify(claims, EVIDENCE, STRICT)) == 1


def test_a_summary_may_drop_words_but_add_no_name_and_turn_no_denial_round():
    source = ["now we add the shallots from Lyon, never any garlic"]
    assert supports(source, "Adding shallots from Lyon", 0.5)
    assert not supports(source, "Adding shallots from Paris", 0.5)
    assert not supports(source, "Adding garlic", 0.5)
    assert not supports(source, "Buy gold coins today", 0.5)


# What becomes of the verdicts


def test_only_supported_claims_make_the_text_and_the_score_is_their_share():
    verdicts = [judge("A man chops onions", "F1"), judge("A man cries", "F1"), judge("Three dogs", "F2")]
    outcome = conclude(verdicts, EVIDENCE, abstained=False)
    assert outcome.status == "ok"
    assert outcome.text == "A man chops onions. Three dogs."
    assert outcome.score == pytest.approx(2 / 3)
    assert [verdict.verdict for verdict in outcome.verdicts] == ["supported", "unsupported", "supported"]


def test_without_a_supported_claim_the_captions_stand_in_each_once():
    evidence = gather([FrameCaption(1.0, "a cat"), FrameCaption(2.0, "A cat"), FrameCaption(3.0, "a dog")], ())
    rejected = verify([Claim("A lion", ("F1",))], evidence, STRICT)
    outcome = conclude(rejected, evidence, abstained=False)
    assert (outcome.status, outcome.text, outcome.score) == ("fallback", "a cat. a dog.", None)
    assert [(verdict.text, verdict.verdict, verdict.evidence) for verdict in outcome.verdicts] == [
        ("a cat", "supported", ("frame@1.0", "frame@2.0")),
        ("a dog", "supported", ("frame@3.0",)),
        ("A lion", "unsupported", ("frame@1.0",)),
    ]


@pytest.mark.parametrize(
    ("verdicts", "evidence", "abstained", "status"),
    [
        (None, EVIDENCE, False, "fallback"),
        (None, (), False, "failed"),
        ([], (), False, "abstained"),
        ([], EVIDENCE, True, "abstained"),
        (None, (), True, "abstained"),
    ],
)
def test_the_status_follows_from_the_answer_and_the_captions(verdicts, evidence, abstained, status):
    outcome = conclude(verdicts, evidence, abstained=abstained)
    assert outcome.status == status
    assert (outcome.text is None) == (status in ("abstained", "failed"))
    assert outcome.score is None


def test_a_second_opinion_can_only_take_away():
    verdict = judge("A man chops onions", "F1")
    outcome = conclude([reject(verdict)], EVIDENCE, abstained=False)
    assert outcome.status == "fallback"


VOCABULARY = st.sampled_from(
    [
        "a",
        "the",
        "man",
        "dog",
        "dogs",
        "hat",
        "onions",
        "3",
        "three",
        "12",
        "not",
        "without",
        "no",
        "and",
        "Paris",
        "W1",
        "Buy",
        "run",
        "near",
        ",",
        ".",
    ]
)
PHRASES = st.lists(VOCABULARY, max_size=9).map(" ".join) | st.text(max_size=30)
CITED = st.lists(st.sampled_from(["F1", "F2", "F3", "F4", "W1", "W2", "frame@2.0", "words@9-9", ""]), max_size=5)
CLAIMS = st.lists(st.builds(Claim, PHRASES, CITED.map(tuple)), max_size=6)
SETTINGS = st.builds(
    GroundSettings,
    min_coverage=st.sampled_from([0.0, 0.5, 1.0]),
    spoken_words=st.integers(0, 2),
    speech_alone=st.booleans(),
)


@settings(deadline=None)
@given(CLAIMS, st.lists(PHRASES, max_size=4), SETTINGS)
def test_kept_text_is_made_of_supported_claims_whose_evidence_exists(claims, captions, settings):
    evidence = gather([FrameCaption(float(i), text) for i, text in enumerate(captions)], WORDS)
    outcome = conclude(verify(claims, evidence, settings), evidence, abstained=False)
    kept = [verdict for verdict in outcome.verdicts if verdict.verdict == "supported"]
    assert (outcome.text or "") == in_sentences(verdict.text for verdict in kept)
    assert all(verdict.evidence for verdict in kept)
    assert {id_ for verdict in outcome.verdicts for id_ in verdict.evidence} <= {item.id for item in evidence}


@settings(deadline=None)
@given(CLAIMS, st.lists(PHRASES, max_size=4))
def test_by_default_every_term_of_a_kept_claim_stands_in_a_frame_it_cites(claims, captions):
    evidence = gather([FrameCaption(float(i), text) for i, text in enumerate(captions)], WORDS)
    texts = {item.id: item.text for item in evidence if item.kind == "frame"}
    for verdict in verify(claims, evidence, STRICT):
        if verdict.verdict == "supported":
            seen = {term.form for id_ in verdict.evidence for term in terms(texts.get(id_, ""))} | {"#1"}
            assert {term.form for term in terms(verdict.text)} <= seen


@settings(deadline=None)
@given(PHRASES)
def test_a_caption_supports_itself(text):
    evidence = gather([FrameCaption(0.0, text)], ())
    assume(evidence and terms(evidence[0].text))
    (verdict,) = verify([Claim(text, ("F1",))], evidence, STRICT)
    assert verdict.verdict == "supported"


# Terms and wording


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cooking", "cooks"), ("running", "ran"), ("making", "made"), ("cookies", "cookie"), ("boxes", "box"),
        ("dishes", "dish"), ("houses", "house"), ("berries", "berry"), ("carried", "carry"), ("women", "woman"),
        ("dog's", "dogs"), ("people", "person"), ("glasses", "glass"), ("movies", "movie"), ("stopped", "stop"),
    ],
)  # fmt: skip
def test_forms_of_a_word_are_one_term(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("king", "kin"), ("red", "r"), ("bus", "bu"), ("sing", "s"), ("glass", "glas"), ("left", "leave")],
)
def test_different_words_stay_apart(one, other):
    assert fold(one) != fold(other)


@pytest.mark.parametrize(
    ("text", "number"),
    [("twenty-five cars", "#25"), ("two hundred", "#200"), ("1,000 birds", "#1000"), ("3.50", "#3.5"), ("007", "#7"),
     ("a dozen eggs", "#12"), ("two thousand three hundred", "#2300")],
)  # fmt: skip
def test_numbers_in_words_and_digits_are_one_term(text, number):
    assert number in {term.form for term in terms(text)}


@settings(deadline=None)
@given(st.text())
def test_any_text_has_terms_and_a_tidy_form(text):
    terms(text)
    line = tidy(text, 40)
    assert len(line) <= 40
    assert "\n" not in line
    line.encode("utf-8")


@settings(deadline=None)
@given(st.text(), st.integers(1, 30))
def test_a_trimmed_text_has_no_more_words_than_asked_for(text, limit):
    assert len(trim_words(text, limit).split()) <= limit


@settings(deadline=None)
@given(st.text(), st.integers(20, 60))
def test_a_text_shortened_from_the_middle_fits(text, limit):
    assert len(middle_out(text, limit)) <= limit
