"""Texts longer than the text tower takes: found, and shortened to sentences that fit."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.data.clip_batch import text_numbers
from training.data.long_texts import LongTexts
from training.models.vidla.text.tokenizer import Tokenizer

SENTENCES = ("A red car stops.", "The driver gets out!", "Does he see the dog?", "It runs away.")
TEXT = " ".join(SENTENCES)


def words(text: str) -> int:
    """A word is a token."""
    return len(text.split()) + 2


def test_a_text_fits_up_to_the_last_token() -> None:
    assert LongTexts(words, 18).fits(TEXT)
    assert not LongTexts(words, 17).fits(TEXT)


def test_cut_leaves_the_text_to_the_tokenizer() -> None:
    assert LongTexts(words, 6).shortened(TEXT, 1) == TEXT


@given(st.integers(0, 1000), st.integers(7, 17))
def test_consecutive_whole_sentences_are_taken_as_far_as_they_fit(seed: int, limit: int) -> None:
    long_texts = LongTexts(words, limit, "sentences")
    taken = long_texts.shortened(TEXT, seed)
    assert taken in TEXT and taken[-1] in ".!?" and taken[0].isupper()
    assert words(taken) <= limit
    following = next(
        (sentence for sentence in SENTENCES if TEXT.partition(taken)[2].strip().startswith(sentence)), None
    )
    assert following is None or words(f"{taken} {following}") > limit
    assert taken == long_texts.shortened(TEXT, seed)


def test_every_sentence_is_seen_in_some_epoch() -> None:
    long_texts = LongTexts(words, 6, "sentences")
    assert len({long_texts.shortened(TEXT, epoch) for epoch in range(40)}) == 4


def test_a_text_of_one_sentence_is_left_to_the_tokenizer() -> None:
    assert LongTexts(words, 4, "sentences").shortened("one two three four five", 1) == "one two three four five"


def test_tokens_are_counted_as_clips_tokenizer_makes_them() -> None:
    tokenizer = Tokenizer({"context_length": 16})
    long_texts = pickle.loads(pickle.dumps(LongTexts(tokenizer.count, tokenizer.context)))
    fitting, longer = " ".join(["dog"] * 14), " ".join(["dog"] * 15)
    assert [tokenizer.count(text) for text in (fitting, longer)] == [16, 17]
    assert long_texts.fits(fitting) and not long_texts.fits(longer)


def test_numbers_of_texts_are_equal_for_equal_tokens_alone() -> None:
    one, other, again = text_numbers(torch.tensor([[1, 2, 0], [1, 3, 0], [1, 2, 0]])).tolist()
    assert one == again != other


@pytest.mark.parametrize("text", ["", "a", "one two"])
def test_short_texts_are_not_tokenised_to_be_counted(text: str) -> None:
    def refuse(_: str) -> int:
        raise AssertionError("counted")

    assert LongTexts(refuse, 77).fits(text)
