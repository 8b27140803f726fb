"""Subtitle files become words with times: formats, bad times, hostile files."""

import contextlib
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.subtitle_texts import srt, vtt

from curation.media.speech.subtitle_reading import MAX_BYTES, parse_subtitles, read_track
from curation.media.speech.transcript import join_words
from curation.media.subtitles.cues import SubtitleError
from curation.media.subtitles.subtitle_tracks import Track


def test_overlapping_cues_are_made_to_follow_each_other() -> None:
    data = srt(("00:00:01,000 --> 00:00:05,000", "a"), ("00:00:03,000 --> 00:00:06,000", "b"))
    assert [(word.start, word.end) for word in parse_subtitles(data, "srt").words] == [(1.0, 3.0), (3.0, 6.0)]


def test_disordered_cues_are_put_in_order() -> None:
    data = srt(("00:00:05,000 --> 00:00:06,000", "b"), ("00:00:01,000 --> 00:00:02,000", "a"))
    assert [word.text for word in parse_subtitles(data, "srt").words] == ["a", "b"]


def test_cues_that_end_before_they_start_keep_their_text() -> None:
    data = srt(("00:00:05,000 --> 00:00:03,000", "two words"), ("00:00:08,000 --> 00:00:09,000", "b"))
    assert [(word.start, word.end) for word in parse_subtitles(data, "srt").words] == [(5.0, 5.6), (8.0, 9.0)]


def test_cues_below_zero_and_beyond_the_video_are_clipped_or_dropped() -> None:
    data = srt(
        ("-00:00:05,000 --> -00:00:01,000", "before"),
        ("-00:00:01,000 --> 00:00:02,000", "a"),
        ("00:00:08,000 --> 00:01:00,000", "b"),
        ("00:00:20,000 --> 00:00:21,000", "after"),
    )
    words = parse_subtitles(data, "srt", duration=10.0).words
    assert [(word.start, word.end, word.text) for word in words] == [(0.0, 2.0, "a"), (8.0, 10.0, "b")]


def test_a_repeated_cue_is_kept_once() -> None:
    data = srt(*[("00:00:01,000 --> 00:00:02,000", "a")] * 3)
    assert len(parse_subtitles(data, "srt").words) == 1


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\r\r\n"])
def test_any_line_ending_is_understood(ending: str) -> None:
    data = srt(("00:00:01,000 --> 00:00:02,000", "a\nb"), ("00:00:03,000 --> 00:00:04,000", "c"))
    words = parse_subtitles(data.decode().replace("\n", ending).encode(), "srt").words
    assert [word.text for word in words] == ["a b", "c"]


def test_the_signature_of_a_file_counts_more_than_its_name() -> None:
    data = vtt(("00:01.000 --> 00:02.000", "a")).encode()
    assert len(parse_subtitles(data, "srt").words) == len(parse_subtitles(data).words) == 1


def test_substation_alpha_is_read() -> None:
    head = "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
    head += "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    lines = "Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,{\\i1}Hello{\\i0}\\Nyou\n"
    lines += "Comment: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,not said\n"
    words = parse_subtitles((head + lines).encode(), "ass").words
    assert [(word.start, word.end, word.text) for word in words] == [(1.0, 2.5, "Hello you")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 5000,
        bytes(random.Random(0).randbytes(5000)),
        b"<html><body>403</body></html>",
        b"{}",
        b"[" * 100_000,
    ],
    ids=["empty", "zeros", "noise", "html", "object", "brackets"],
)
@pytest.mark.parametrize("format", ["vtt", "srt", "json3", "ass", None])
def test_data_without_a_cue_is_refused(data: bytes, format: str | None) -> None:
    with pytest.raises(SubtitleError):
        parse_subtitles(data, format)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(SubtitleError, match="ttml"):
        parse_subtitles(b"<tt/>", "ttml")


def test_subtitle_errors_are_value_errors() -> None:
    assert issubclass(SubtitleError, ValueError)


def test_a_transcript_has_the_language_and_origin_of_its_track(tmp_path: Path) -> None:
    path = tmp_path / "a.vtt"
    path.write_text(vtt(("00:01.000 --> 00:02.000", "a"), header="WEBVTT\nKind: captions\nLanguage: de"))
    assert read_track(Track(path, "en-US", "auto", "vtt"), 10.0).language == "en"
    assert read_track(Track(path, None, "auto", "vtt"), 10.0).language == "de"
    assert read_track(Track(path, None, "auto", "vtt"), 10.0).origin == "auto"


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.vtt"
    path.write_bytes(b"WEBVTT\n\n" + b"\n" * MAX_BYTES)
    with pytest.raises(SubtitleError, match="larger"):
        read_track(Track(path, "en", "manual", "vtt"), 10.0)


def test_more_cues_than_any_video_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.media.subtitles.subtitle_formats.MAX_CUES", 3)
    cues = [(f"00:0{i}.000 --> 00:0{i}.900", "a") for i in range(4)]
    assert len(parse_subtitles(vtt(*cues[:3]).encode(), "vtt").words) == 3
    with pytest.raises(SubtitleError, match="cues"):
        parse_subtitles(vtt(*cues).encode(), "vtt")


@pytest.mark.parametrize(
    "unit",
    ["[", "(", "♪ ", "<", "<a", "&", "&lt;", "{\\", "\n", " ", ">>", "A:", "- ", "()", "*a", "-->", "<00:00:01.000>"],
)
@pytest.mark.timeout(120)  # a pattern that is not linear in its input would take hours
def test_repeated_marks_take_linear_time(unit: str) -> None:
    line = unit * (2000 // len(unit.replace("\n", " ")))
    cues = "\n\n".join(
        f"00:{i // 60:02}:{i % 60:02}.000 --> 00:{i // 60:02}:{i % 60:02}.900\n{line}" for i in range(200)
    )
    many = parse_subtitles(f"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n\n{cues}".encode(), "vtt")
    long = f"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n\n00:02.000 --> 00:03.000\n{unit * 100_000}"
    assert many.words[0].text == parse_subtitles(long.encode(), "vtt").words[0].text == "hello"


@given(st.text(alphabet="<>[]()♪-:\n 0123456789.,&;abA\\{}*>\x1e", max_size=300))
@settings(deadline=None, max_examples=300)
def test_any_text_in_a_cue_gives_clean_words_or_no_word(text: str) -> None:
    data = f"WEBVTT\n\n00:00:01.000 --> 00:00:09.000\n{text}\n\n00:00:10.000 --> 00:00:11.000\nlast"
    words = parse_subtitles(data.encode(), "vtt", duration=20.0).words
    assert all(0 <= word.start < word.end <= 20 and word.text.strip() == word.text != "" for word in words)


@given(st.binary(max_size=400), st.sampled_from(["vtt", "srt", "json3", "ass", None]))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_parsed_or_refused(data: bytes, format: str | None) -> None:
    with contextlib.suppress(SubtitleError):
        parse_subtitles(b"WEBVTT\n" + data if format == "vtt" else data, format, duration=10.0)


def test_timed_parts_of_japanese_are_joined_without_spaces(shared_fixtures: Path) -> None:
    data = (shared_fixtures / "faults/17-cjk-spaces-and-limit/talk.ja.auto.json3").read_bytes()
    words = parse_subtitles(data, "json3").words
    assert len(words) == 6
    assert join_words(words) == "今日はとてもいい天気です"


def test_lines_of_a_cue_are_joined_as_their_script_does() -> None:
    times = "00:00:01,000 --> 00:00:05,000"
    assert parse_subtitles(srt((times, "我们今天\n去公园")), "srt").words[0].text == "我们今天去公园"
    assert parse_subtitles(srt((times, "we go\nto the park")), "srt").words[0].text == "we go to the park"
