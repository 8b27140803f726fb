"""Automatic captions of YouTube: rolling lines, and words with times of their own."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from support.subtitle_texts import vtt

from curation.media.speech.subtitle_reading import parse_subtitles


@pytest.fixture()
def subs(shared_fixtures: Path) -> Path:
    return shared_fixtures / "subs"


@pytest.mark.parametrize("name", ["DERIVED_asr_en_first300s.rolling.vtt", "asr_en_first300s.json3"])
def test_automatic_captions_give_each_word_once_at_its_time(subs: Path, name: str) -> None:
    folder = subs / "youtube_asr"
    expected = json.loads((folder / "DERIVED_asr_en_first300s.expected.json").read_text())["words"]
    words = parse_subtitles((folder / name).read_bytes(), name.rpartition(".")[2]).words
    assert len(words) == 607
    assert [(word.text, round(word.start * 1000)) for word in words] == [(word["w"], word["ms"]) for word in expected]
    assert all(a.end <= b.start for a, b in pairwise(words))
    assert all(0 < word.end - word.start <= 2.0 for word in words)


def test_rolling_captions_without_word_times_give_each_line_once(subs: Path) -> None:
    text = (subs / "youtube_asr/DERIVED_asr_en_first300s.rolling.vtt").read_text()
    plain = re.sub(r"<[^>]*>", "", text)
    spoken = " ".join(word.text for word in parse_subtitles(plain.encode(), "vtt").words)
    expected = json.loads((subs / "youtube_asr/DERIVED_asr_en_first300s.expected.json").read_text())["text"]
    assert spoken == expected


def test_a_real_fragment_with_coloured_words_gives_each_word_once(subs: Path) -> None:
    words = parse_subtitles((subs / "webvtt-py/youtube_dl.vtt").read_bytes(), "vtt").words
    assert " ".join(word.text for word in words) == "yeah what this will happen is I'm telling"
    assert [word.start for word in words][-2:] == [304.86, 305.069]


def test_a_repeated_single_line_stays() -> None:
    cues = [("00:01.000 --> 00:02.000", "Oh!"), ("00:02.000 --> 00:03.000", "Oh!"), ("00:03.000 --> 00:04.000", "Oh!")]
    assert len(parse_subtitles(vtt(*cues).encode(), "vtt").words) == 3


def test_a_line_repeated_once_stays_in_captions_that_do_not_roll() -> None:
    texts = ["la la\nOh", "Oh\nyes", "no", "so", "well"]
    cues = [(f"00:0{i}.000 --> 00:0{i + 1}.000", text) for i, text in enumerate(texts)]
    assert [word.text for word in parse_subtitles(vtt(*cues).encode(), "vtt").words][:2] == ["la la Oh", "Oh yes"]


def test_an_automatic_word_ends_with_the_next_one_or_its_cue_or_after_two_seconds() -> None:
    cues = [("00:01.000 --> 00:01.900", "a<00:01.400><c> b</c>"), ("00:05.000 --> 00:30.000", "c<00:05.200><c> d</c>")]
    times = [(word.start, word.end) for word in parse_subtitles(vtt(*cues).encode(), "vtt").words]
    assert times == [(1.0, 1.4), (1.4, 1.9), (5.0, 5.2), (5.2, 7.2)]


def test_json3_written_by_people_gives_one_unit_a_cue() -> None:
    events = [{"tStartMs": 1000, "dDurationMs": 2000, "segs": [{"utf8": "Hello there,\nyou "}, {"utf8": "two."}]}]
    words = parse_subtitles(json.dumps({"events": events}).encode(), "json3").words
    assert [(word.start, word.end, word.text) for word in words] == [(1.0, 3.0, "Hello there, you two.")]


def test_json3_with_broken_events_keeps_the_others() -> None:
    good = {"tStartMs": "1000", "dDurationMs": 500.0, "segs": [{"utf8": "fine"}]}
    bad: list[object] = [None, 3, {"segs": None}, {"segs": [{}]}, {"tStartMs": None, "segs": [{"utf8": "x"}]}]
    bad += [{"tStartMs": 1e400, "segs": [{"utf8": "x"}]}, {"tStartMs": True, "segs": [{"utf8": "x"}, 7]}]
    words = parse_subtitles(json.dumps({"events": [*bad, good]}).encode(), "json3").words
    assert [word.text for word in words] == ["fine"]


def test_syllables_with_times_of_their_own_are_one_word() -> None:
    text = vtt(("00:01.000 --> 00:04.000", "un<00:01.300>believ<00:01.600>able<00:02.000> day"))
    assert [word.text for word in parse_subtitles(text.encode(), "vtt").words] == ["unbelievable", "day"]
