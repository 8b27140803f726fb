"""Scores of speech and texts, from words and texts that are written here."""

from __future__ import annotations

from typing import Any

import pytest
from support.scored_videos import clip_row, named, scores_of, words_of

from shards.stored_rows import StoredText

ENGLISH = "the quick brown fox jumps over the lazy dog and then it sleeps in the warm sun"
GERMAN = "der schnelle braune Fuchs springt über den faulen Hund und schläft dann in der warmen Sonne"


def spoken(text: str, **changes: Any) -> dict[str, Any]:
    """Return all scores of speech of a root of 8 seconds."""
    row = clip_row(0, 8, words=words_of(text, 0, 8), subtitle=text, **changes)
    return scores_of([named("speech"), named("repetition"), named("language")], b"", [row])[0]


def test_speech_is_measured_by_its_time_and_its_words() -> None:
    row = spoken("one two three four", speech_seconds=2.0)
    assert (row["speech_share"], row["words_per_second"]) == (0.25, 0.5)
    assert spoken("", speech_seconds=0.0)["words_per_second"] == 0
    assert spoken("a b", speech_seconds=9.0)["speech_share"] == 1


def test_a_clip_has_the_words_that_are_spoken_in_it() -> None:
    words = words_of("one two three four", 0, 8)
    clips = [clip_row(0, 8, words=words), clip_row(0, 2, parent="clip_0_8"), clip_row(2, 8, parent="clip_0_8")]
    rows = scores_of(named("speech"), b"", clips)
    assert [row["words_per_second"] for row in rows] == [0.5, 0.5, 0.5]
    assert [row["words_per_second"] for row in scores_of(named("speech"), b"", [clips[0], clip_row(0, 4, parent="x")])][
        1
    ] == 0.5


@pytest.mark.parametrize(
    ("text", "share"),
    [("a b c d e", 0), ("la la la la la", 2 / 3), ("Go now go. go now GO go", 2 / 5), ("two words", None), ("", None)],
)
def test_repetition_is_the_share_of_word_triples_that_were_said_before(text: str, share: float | None) -> None:
    assert spoken(text)["repetition"] == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    ("text", "language"), [(ENGLISH, "en"), (GERMAN, "de"), ("Hi", None), ("", None), ("12 34 56 78 90 12", None)]
)
def test_the_language_of_speech(text: str, language: str | None) -> None:
    row = spoken(text)
    assert row["text_language"] == language
    assert (row["text_language_probability"] is None) == (language is None)


def test_the_language_of_another_column_is_that_of_the_text_layer() -> None:
    row = clip_row(0, 8, words=[], subtitle=ENGLISH)
    texts = {row["key"]: StoredText(grounded_text=GERMAN)}  # type: ignore[typeddict-item]
    scorer = named("language", column="grounded_text")
    assert scores_of(scorer, b"", [row], texts)[0]["text_language"] == "de"
    assert scores_of(scorer, b"", [row])[0]["text_language"] is None
