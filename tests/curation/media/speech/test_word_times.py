"""The times of words are made monotone."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from support.transcripts import spoken_transcript

from curation.media.speech.transcript import Word
from curation.media.speech.word_times import make_monotone, pause_between

any_words = st.lists(
    st.builds(Word, st.floats(-20, 120), st.floats(-20, 120), st.sampled_from(["a", "boat", "a whole cue"])),
    max_size=40,
)


@given(any_words)
@settings(deadline=None, max_examples=300)
def test_monotone_words_follow_each_other_within_the_span_and_have_length(words: list[Word]) -> None:
    made = make_monotone(words, 0.0, 100.0)
    assert all(0.0 <= word.start < word.end <= 100.0 for word in made)
    assert all(a.end <= b.start for a, b in pairwise(made))


@given(any_words)
@settings(deadline=None, max_examples=300)
def test_monotone_loses_no_word_that_touches_the_span(words: list[Word]) -> None:
    inside = [word for word in words if word.start < 99.9 and max(word.start, word.end) > 0.1]
    outside = [word for word in words if word.start > 100.1 or max(word.start, word.end) < -0.1]
    count = len(make_monotone(words, 0.0, 100.0))
    assert len(inside) <= count <= len(words) - len(outside)


@given(any_words)
@settings(deadline=None, max_examples=300)
def test_monotone_twice_is_monotone_once(words: list[Word]) -> None:
    made = make_monotone(words, 0.0, 100.0)
    assert make_monotone(made, 0.0, 100.0) == made


def test_monotone_times_do_not_change() -> None:
    words = spoken_transcript(300).words
    assert make_monotone(words, 0.0, 300.0) == words


def test_disordered_words_are_put_in_order_of_time() -> None:
    words = [Word(4, 5, "c"), Word(0, 1, "a"), Word(2, 3, "b")]
    assert [word.text for word in make_monotone(words, 0, 10)] == ["a", "b", "c"]


def test_an_overlapping_word_ends_where_the_next_one_starts() -> None:
    assert make_monotone([Word(0, 3, "a"), Word(2, 5, "b")], 0, 10) == (Word(0, 2, "a"), Word(2, 5, "b"))


def test_words_that_start_together_share_their_time_in_order() -> None:
    first, second = make_monotone([Word(0, 3, "first"), Word(0, 3, "other")], 0, 10)
    assert (first.start, first.end, second.end) == (0, second.start, 3)
    assert first.end == 1.5


def test_words_without_length_get_some() -> None:
    made = make_monotone([Word(1, 1, "a"), Word(1, 1, "b"), Word(2, 1.5, "c")], 0, 10)
    assert [(word.start, word.end) for word in made] == [(1.0, 1.01), (1.01, 1.02), (2.0, 2.01)]


def test_more_words_than_there_is_room_for_are_all_kept() -> None:
    made = make_monotone([Word(5, 5, str(i)) for i in range(100)], 4.9, 5.0)
    assert len(made) == 100
    assert made[-1].end == 5.0


def test_words_are_clipped_to_an_end_that_may_be_unknown() -> None:
    words = [Word(0, 5, "a"), Word(8, 20, "b")]
    assert make_monotone(words, 2, 10) == (Word(2, 5, "a"), Word(8, 10, "b"))
    assert make_monotone(words, 0, float("inf"))[-1].end == 20


def test_times_that_are_no_numbers_are_dropped() -> None:
    assert make_monotone([Word(float("nan"), 1, "a"), Word(1, float("inf"), "b")], 0, 10) == (Word(1, 1.01, "b"),)


def test_a_word_that_lasts_until_the_next_one_hides_a_pause() -> None:
    assert pause_between(Word(0, 2.0, "boat"), Word(2.0, 2.3, "sank")) > 1.0
    assert pause_between(Word(0, 0.4, "boat"), Word(0.4, 0.8, "sank")) == 0.0
