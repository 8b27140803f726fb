"""Captions that grow on the screen give each word once, at the time at which it appears."""

from pathlib import Path

import pytest
from support.subtitle_texts import srt

from curation.media.speech.subtitle_reading import parse_subtitles
from curation.media.speech.transcript import Word


def said(texts: list[str], step: float = 0.5) -> tuple[Word, ...]:
    """Return the words of cues of `step` seconds, one after another."""
    times = [(i * step, (i + 1) * step) for i in range(len(texts))]
    stamps = [f"00:00:{a:06.3f} --> 00:00:{b:06.3f}".replace(".", ",") for a, b in times]
    return parse_subtitles(srt(*zip(stamps, texts, strict=True)), "srt").words


def test_published_captions_that_grow_word_by_word(shared_fixtures: Path) -> None:
    data = (shared_fixtures / "faults/15-growing-captions/talk.en.srt").read_bytes()
    words = parse_subtitles(data, "srt").words
    assert " ".join(word.text for word in words) == "this is how the live captions grow word by word"
    assert [word.start for word in words] == [i / 2 for i in range(10)]


@pytest.mark.parametrize(
    ("texts", "spoken"),
    [
        (["we", "we go", "we go to", "we go to the", "we go to the sea"], "we go to the sea"),
        (["hel", "hello", "hello w", "hello wor", "hello world"], "hello world"),
        (["we", "we saw", "we saw thier", "we saw their boat", "we saw their boat sink"], "we saw their boat sink"),
        (["one", "one two", "one two three", "one two three", "one two three four"], "one two three four"),
        (
            [
                "a b",
                "a b\nc",
                "a b\nc d",
                "a b\nc d e",
                "c d e\nf",
                "c d e\nf g",
                "c d e\nf g h",
                "f g h\ni",
                "f g h\ni j",
            ],
            "a b c d e f g h i j",
        ),
        (
            [
                "first",
                "first we",
                "first we go",
                "first we go now",
                "then",
                "then you",
                "then you go",
                "then you go on",
            ],
            "first we go now then you go on",
        ),
        (["我", "我 们", "我 们 去", "我 们 去 海", "我 们 去 海 边"], "我 们 去 海 边"),
    ],
    ids=["words", "letters", "corrected", "unchanged", "two-lines", "two-sentences", "chinese"],
)
def test_each_word_is_said_once(texts: list[str], spoken: str) -> None:
    assert " ".join(word.text for word in said(texts)) == spoken


@pytest.mark.parametrize(
    "texts",
    [
        ["No", "No way", "Come in", "Come in and sit", "Yes"],
        ["Oh", "Oh", "Oh", "Oh", "Oh"],
        ["Go", "Go home", "Go home now", "Where to?", "Here", "There", "So", "Well", "Good"],
        ["Is it", "It is so", "So we go", "Go on", "On and on", "On we go"],
    ],
)
def test_speech_that_repeats_itself_stays(texts: list[str]) -> None:
    assert [word.text for word in said(texts)] == texts


def test_cues_far_apart_do_not_grow() -> None:
    cues = [(f"00:0{i}:00,000 --> 00:0{i}:02,000", " ".join("abcdef"[: i + 1])) for i in range(6)]
    assert len(parse_subtitles(srt(*cues), "srt").words) == 6
