"""Terms: which forms of words and numbers are the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.grounding.claim_terms import terms
from curation.grounding.word_folding import fold
from curation.prompts.wording import tidy


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cooking", "cooks"), ("running", "ran"), ("making", "made"), ("cookies", "cookie"), ("boxes", "box"),
        ("dishes", "dish"), ("houses", "house"), ("berries", "berry"), ("carried", "carry"), ("women", "woman"),
        ("dog's", "dogs"), ("people", "person"), ("glasses", "glass"), ("movies", "movie"), ("stopped", "stop"),
    ],
)  # fmt: skip
def test_forms_of_a_word_are_one_term(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("king", "kin"), ("red", "r"), ("bus", "bu"), ("sing", "s"), ("glass", "glas"), ("left", "leave")],
)
def test_different_words_stay_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize(
    ("text", "number"),
    [("twenty-five cars", "#25"), ("two hundred", "#200"), ("1,000 birds", "#1000"), ("3.50", "#3.5"), ("007", "#7"),
     ("a dozen eggs", "#12"), ("two thousand three hundred", "#2300")],
)  # fmt: skip
def test_numbers_in_words_and_digits_are_one_term(text: str, number: str) -> None:
    assert number in {term.form for term in terms(text)}


@settings(deadline=None)
@given(st.text())
def test_any_text_has_terms_and_a_tidy_form(text: str) -> None:
    terms(text)
    line = tidy(text, 40)
    assert len(line) <= 40
    assert "\n" not in line
    line.encode("utf-8")
