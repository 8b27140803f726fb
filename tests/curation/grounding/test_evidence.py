"""Evidence: how frame captions and words are numbered, and what is dropped when a prompt is too long."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.judging import EVIDENCE, FRAMES, WORDS

from curation.captions.frame_captions import FrameCaption
from curation.captions.observation import Observation
from curation.grounding.evidence import Evidence, fit_evidence, gather_evidence, in_label_order, seen_texts
from curation.media.speech.transcript import Word


def test_evidence_is_named_by_seconds_of_the_video_and_labelled_in_time_order() -> None:
    evidence = gather_evidence(reversed(FRAMES), WORDS)
    assert [(item.id, item.label) for item in evidence if item.kind == "frame"] == [
        ("frame@2.0", "F1"),
        ("frame@12.0", "F2"),
        ("frame@22.5", "F3"),
    ]
    assert [(item.id, item.label) for item in evidence if item.kind == "words"] == [
        ("words@3.2-8.0", "W1"),
        ("words@8.2-10.0", "W2"),
    ]


def test_spans_of_words_hold_every_word_once_in_order() -> None:
    evidence = gather_evidence((), WORDS, span_seconds=2.0)
    assert " ".join(item.text for item in evidence).split() == [word.text for word in WORDS]


def test_events_texts_and_objects_have_labels_and_ids_of_their_own() -> None:
    observed = [
        Observation("r", "text", 4.0, 9.5, "Open"),
        Observation("r", "event", 2.0, 5.0, "A man opens a door."),
        Observation("r", "object", 3.0, 3.0, "2 dogs"),
    ]
    evidence = gather_evidence(FRAMES[:1], WORDS[:1], observations=observed)
    assert [(item.id, item.label) for item in evidence] == [
        ("event@2.0-5.0", "E1"),
        ("frame@2.0", "F1"),
        ("text@4.0-9.5", "T1"),
        ("objects@3.0", "O1"),
        ("words@3.2-4.0", "W1"),
    ]
    assert [item.span for item in evidence][:2] == [(2.0, 5.0), (2.0, 2.0)]
    assert [item.label for item in in_label_order(reversed(evidence))] == ["E1", "F1", "T1", "O1", "W1"]


def test_what_a_text_in_the_picture_says_is_only_said_to_be_shown() -> None:
    (item,) = gather_evidence((), (), observations=[Observation("r", "text", 4.0, 4.0, "A dragon flies")])
    assert item.line == "T1 (seen at 4.0 s): the picture shows the text “A dragon flies”"


def test_frames_without_a_caption_are_no_evidence() -> None:
    assert gather_evidence([FrameCaption(1.0, "  ")], ()) == ()


def test_evidence_that_does_not_fit_loses_words_before_captions() -> None:
    small = fit_evidence(EVIDENCE, 200)
    assert sum(len(item.line) + 1 for item in small) <= 200
    assert {item.kind for item in small} == {"frame"}
    assert fit_evidence(EVIDENCE, 10_000) == EVIDENCE


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e5), st.text(max_size=20))), st.lists(st.floats(0, 1e4), max_size=20))
def test_ids_and_labels_are_unique_whatever_the_times(frames: list[tuple[float, str]], starts: list[float]) -> None:
    words = tuple(Word(start, start + 0.01, "word") for start in sorted(starts))
    evidence = gather_evidence([FrameCaption(time, text) for time, text in frames], words)
    assert len({item.id for item in evidence}) == len({item.label for item in evidence}) == len(evidence)


@pytest.mark.parametrize(
    "claim", ["A dragon breathes fire.", "It says that a dragon breathes fire.", "Un dragon crache du feu."]
)
def test_a_text_in_the_picture_is_no_evidence_of_what_it_says(claim: str) -> None:
    title = Evidence("text@1.0", "T1", "text", "the picture shows the text “A dragon breathes fire”")
    lion = Evidence("frame@1.0", "F1", "frame", "a lion")
    spoken = Evidence("words@1.0-2.0", "W1", "words", "a dragon")
    assert seen_texts(claim, [title, lion, spoken]) == ["a lion", "the picture shows a text"]


@pytest.mark.parametrize("claim", ["The text “A dragon breathes fire” is shown.", 'It reads "A dragon".', "«A dragon»"])
def test_a_claim_that_quotes_is_judged_by_the_words_of_the_text(claim: str) -> None:
    title = Evidence("text@1.0", "T1", "text", "the picture shows the text “A dragon breathes fire”")
    assert seen_texts(claim, [title]) == [title.text]
