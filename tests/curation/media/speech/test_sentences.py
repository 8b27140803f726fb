"""Words made monotone, and grouped into sentences."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.transcripts import spoken_transcript

from curation.media.speech.punctuated_text import is_punctuated
from curation.media.speech.sentences import SentenceSettings, split_sentences
from curation.media.speech.subtitle_reading import parse_subtitles
from curation.media.speech.transcript import Transcript, Word
from curation.media.speech.word_times import make_monotone, pause_between

SETTINGS = SentenceSettings()


def at_rate(text, step=0.3, length=0.25):
    """Words of `text` one after another; ``|`` is a second of silence."""
    words, at = [], 0.0
    for token in text.split():
        if token == "|":
            at += 1.0
        else:
            words.append(Word(round(at, 3), round(at + length, 3), token))
            at += step
    return Transcript(tuple(words))


def texts(transcript, punctuate=None, settings=SETTINGS):
    return [sentence.text for sentence in split_sentences(transcript, settings, punctuate)]


any_words = st.lists(
    st.builds(Word, st.floats(-20, 120), st.floats(-20, 120), st.sampled_from(["a", "boat", "a whole cue"])),
    max_size=40,
)


@given(any_words)
@settings(deadline=None, max_examples=300)
def test_monotone_words_follow_each_other_within_the_span_and_have_length(words):
    made = make_monotone(words, 0.0, 100.0)
    assert all(0.0 <= word.start < word.end <= 100.0 for word in made)
    assert all(a.end <= b.start for a, b in pairwise(made))


@given(any_words)
@settings(deadline=None, max_examples=300)
def test_monotone_loses_no_word_that_touches_the_span(words):
    inside = [word for word in words if word.start < 99.9 and max(word.start, word.end) > 0.1]
    outside = [word for word in words if word.start > 100.1 or max(word.start, word.end) < -0.1]
    count = len(make_monotone(words, 0.0, 100.0))
    assert len(inside) <= count <= len(words) - len(outside)


@given(any_words)
@settings(deadline=None, max_examples=300)
def test_monotone_twice_is_monotone_once(words):
    made = make_monotone(words, 0.0, 100.0)
    assert make_monotone(made, 0.0, 100.0) == made


def test_good_times_are_left_as_they_are():
    words = spoken_transcript(300).words
    assert make_monotone(words, 0.0, 300.0) == words


def test_disordered_words_are_put_in_order_of_time():
    words = [Word(4, 5, "c"), Word(0, 1, "a"), Word(2, 3, "b")]
    assert [word.text for word in make_monotone(words, 0, 10)] == ["a", "b", "c"]


def test_an_overlapping_word_ends_where_the_next_one_starts():
    assert make_monotone([Word(0, 3, "a"), Word(2, 5, "b")], 0, 10) == (Word(0, 2, "a"), Word(2, 5, "b"))


def test_words_that_start_together_share_their_time_in_order():
    first, second = make_monotone([Word(0, 3, "first"), Word(0, 3, "other")], 0, 10)
    assert (first.start, first.end, second.end) == (0, second.start, 3)
    assert first.end == 1.5


def test_words_without_length_get_some():
    made = make_monotone([Word(1, 1, "a"), Word(1, 1, "b"), Word(2, 1.5, "c")], 0, 10)
    assert [(word.start, word.end) for word in made] == [(1.0, 1.01), (1.01, 1.02), (2.0, 2.01)]


def test_more_words_than_there_is_room_for_are_all_kept():
    made = make_monotone([Word(5, 5, str(i)) for i in range(100)], 4.9, 5.0)
    assert len(made) == 100
    assert made[-1].end == 5.0


def test_words_are_clipped_to_an_end_that_may_be_unknown():
    words = [Word(0, 5, "a"), Word(8, 20, "b")]
    assert make_monotone(words, 2, 10) == (Word(2, 5, "a"), Word(8, 10, "b"))
    assert make_monotone(words, 0, float("inf"))[-1].end == 20


def test_times_that_are_no_numbers_are_dropped():
    assert make_monotone([Word(float("nan"), 1, "a"), Word(1, float("inf"), "b")], 0, 10) == (Word(1, 1.01, "b"),)


def test_no_words_make_no_sentence():
    assert split_sentences(Transcript(), SETTINGS) == []


@given(
    st.lists(st.sampled_from(["boat", "Boat.", "3.5", "Dr.", "?", "|", '"So."', "e.g.", "a long cue."]), max_size=80)
)
@settings(deadline=None, max_examples=200)
def test_every_word_is_in_exactly_one_sentence_in_order(tokens):
    transcript = at_rate(" ".join(tokens))
    assert (
        tuple(word for sentence in split_sentences(transcript, SETTINGS) for word in sentence.words) == transcript.words
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We saw it. Then it sank.", ["We saw it.", "Then it sank."]),
        ("Really? Yes! Go on… Fine.", ["Really?", "Yes!", "Go on…", "Fine."]),
        ("Dr. Smith met Mrs. Jones. They left.", ["Dr. Smith met Mrs. Jones.", "They left."]),
        ("It is 3.5 metres long. See no. 5 there.", ["It is 3.5 metres long.", "See no. 5 there."]),
        ("No. I won't.", ["No.", "I won't."]),
        ("Use a tool, e.g. a saw. Then sand it.", ["Use a tool, e.g. a saw.", "Then sand it."]),
        ("The U.S. Army came at 5 a.m. | They left.", ["The U.S. Army came at 5 a.m.", "They left."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("“What?” he said. Nothing.", ["“What?” he said.", "Nothing."]),
        ("J. R. Smith wrote it. I read it.", ["J. R. Smith wrote it.", "I read it."]),
        ("So do I. You do not.", ["So do I.", "You do not."]),
        ("Well... maybe not. Yes... Maybe.", ["Well... maybe not.", "Yes...", "Maybe."]),
        ("hello there. how are you? fine.", ["hello there.", "how are you?", "fine."]),
        ("你好。 你好吗？ 很好！", ["你好。", "你好吗？", "很好！"]),
        ("¿Qué es eso? ¡Nada! Bien.", ["¿Qué es eso?", "¡Nada!", "Bien."]),
    ],
)
def test_punctuated_text_is_split_where_sentences_stop(text, expected):
    assert texts(at_rate(text)) == expected


def test_without_punctuation_pauses_end_sentences():
    assert texts(at_rate("we saw it | then it | sank")) == ["we saw it", "then it", "sank"]


def test_a_long_silence_ends_a_sentence_in_any_text():
    assert texts(at_rate("We saw it | and | | | then it sank. It did.")) == [
        "We saw it and",
        "then it sank.",
        "It did.",
    ]


def test_a_word_that_lasts_until_the_next_one_hides_a_pause():
    assert pause_between(Word(0, 2.0, "boat"), Word(2.0, 2.3, "sank")) > 1.0
    assert pause_between(Word(0, 0.4, "boat"), Word(0.4, 0.8, "sank")) == 0.0


def test_a_cue_is_never_split_and_sentences_end_at_cue_ends():
    cues = Transcript((Word(0, 3, "Hello. We saw the"), Word(3, 6, "boat. It sank."), Word(6, 9, "Yes.")))
    assert texts(cues) == ["Hello. We saw the boat. It sank.", "Yes."]


def test_unpunctuated_text_goes_through_the_punctuation_model():
    asked = []

    def punctuate(words):
        asked.append(list(words))
        return ["We", "saw", "it.", "Then", "it", "sank."]

    assert texts(at_rate("we saw it then it sank"), punctuate) == ["We saw it.", "Then it sank."]
    assert asked == [["we", "saw", "it", "then", "it", "sank"]]


def test_punctuated_text_is_not_sent_to_the_punctuation_model():
    def punctuate(words):
        raise AssertionError("not needed")

    assert len(texts(at_rate("We saw it. Then it sank."), punctuate)) == 2


def test_cues_are_punctuated_word_by_word_and_put_together_again():
    cues = Transcript((Word(0, 3, "we saw it"), Word(3, 6, "then it sank")))
    assert texts(cues, lambda words: ["We", "saw", "it.", "Then", "it", "sank."]) == ["We saw it.", "Then it sank."]


def test_an_answer_of_another_length_is_not_used():
    assert texts(at_rate("we saw it | then it sank"), lambda words: ["We."]) == ["we saw it", "then it sank"]


def test_an_empty_answer_for_a_word_keeps_the_word():
    assert texts(at_rate("we saw it"), lambda words: ["We", "", "it."]) == ["We saw it."]


def test_overlong_sentences_are_split_at_their_longest_pause():
    transcript = at_rate("We saw it and then and then and then | it sank and sank and sank and sank.")
    assert texts(transcript, settings=SentenceSettings(max_words=10)) == [
        "We saw it and then and then and then",
        "it sank and sank and sank and sank.",
    ]


@pytest.mark.parametrize("punctuated", [True, False])
def test_no_sentence_is_longer_than_allowed_where_it_can_be_split(punctuated):
    transcript = spoken_transcript(1800, seed=3, punctuated=punctuated)
    made = split_sentences(transcript, SentenceSettings(max_words=20, max_seconds=8.0))
    assert max(len(sentence.words) for sentence in made) <= 20
    assert max(sentence.end - sentence.start for sentence in made) <= 8.0


def test_punctuation_is_told_by_its_share():
    assert is_punctuated(spoken_transcript(300).words, 0.02)
    assert not is_punctuated(spoken_transcript(300, punctuated=False).words, 0.02)
    assert not is_punctuated([Word(0, 1, "at 3.5 percent of www.example.org we say")], 0.02)


def test_real_automatic_captions_become_sentences_of_speakable_length(shared_fixtures):
    transcript = parse_subtitles((shared_fixtures / "subs/youtube_asr/asr_en_first300s.json3").read_bytes())
    made = split_sentences(transcript, SETTINGS)
    assert sum(len(sentence.words) for sentence in made) == 607
    assert max(sentence.end - sentence.start for sentence in made) <= SETTINGS.max_seconds
    assert 4 <= 300 / len(made) <= 13


def test_real_human_captions_end_sentences_at_their_full_stops(shared_fixtures):
    transcript = parse_subtitles((shared_fixtures / "subs/sintel/sintel-en.vtt").read_bytes())
    assert texts(transcript)[:3] == [
        "This blade has a dark past.",
        "It has shed much innocent blood.",
        "You're a fool for traveling alone, so completely unprepared.",
    ]
