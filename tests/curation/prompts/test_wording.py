"""Wording: texts keep within their number of words and characters."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from curation.prompts.wording import middle_out
from runtime.text.word_units import trim_words


@settings(deadline=None)
@given(st.text(), st.integers(1, 30))
def test_a_trimmed_text_has_no_more_words_than_asked_for(text: str, limit: int) -> None:
    assert len(trim_words(text, limit).split()) <= limit


@settings(deadline=None)
@given(st.text(), st.integers(20, 60))
def test_a_text_shortened_from_the_middle_fits(text: str, limit: int) -> None:
    assert len(middle_out(text, limit)) <= limit
