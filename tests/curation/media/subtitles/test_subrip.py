"""SubRip as editors and translators write it: empty lines in a cue, odd time stamps, missing numbers."""

from pathlib import Path

import pytest
from support.subtitle_texts import srt, vtt

from curation.media.speech.subtitle_reading import parse_subtitles
from curation.media.subtitles.subtitle_formats import read_cues
from curation.media.subtitles.time_stamps import read_timing


def texts(data: str | bytes, format: str = "srt") -> list[str]:
    data = data.encode() if isinstance(data, str) else data
    return [word.text for word in parse_subtitles(data, format).words]


def test_an_empty_line_does_not_end_a_cue(shared_fixtures: Path) -> None:
    data = (shared_fixtures / "faults/10-blank-line-in-srt-cue/talk.en.srt").read_bytes()
    assert texts(data) == ["I am stuck at work, I will be ten minutes late.", "The road is closed."]


def test_empty_lines_do_not_end_a_cue_in_files_without_numbers() -> None:
    assert texts("00:01 --> 00:02\na\n\n \nb\n\n00:03 --> 00:04\nc") == ["a b", "c"]


def test_captions_that_are_numbers_are_not_taken_for_cue_numbers() -> None:
    assert texts("00:01 --> 00:02\n3\n\n00:02 --> 00:03\n2\n\n00:03 --> 00:04\n1\n") == ["3", "2", "1"]
    counting = srt(("00:00:01,000 --> 00:00:02,000", "10"), ("00:00:02,000 --> 00:00:03,000", "9\n\n8"))
    assert texts(counting) == ["10", "9 8"]


def test_numbers_without_empty_lines_between_cues_are_no_text() -> None:
    assert texts("1\n00:00:01,000 --> 00:00:02,000\na\n2\n00:00:03,000 --> 00:00:04,000\nb\n") == ["a", "b"]


def test_a_cue_whose_times_are_missing_is_counted_and_not_added_to_the_cue_before() -> None:
    file = read_cues("1\n00:00:01,000 --> 00:00:02,000\na\n\n2\nlost\n\n3\n00:00:05,000 --> 00:00:06,000\nb", "srt")
    assert [len(cue.lines) for cue in file.cues] == [1, 1]
    assert file.unread == 1


def test_webvtt_still_ends_a_cue_at_an_empty_line() -> None:
    assert texts(vtt(("00:01.000 --> 00:02.000", "said\n\nan identifier")), "vtt") == ["said"]


def test_an_arrow_in_the_text_is_no_timing_line() -> None:
    assert texts(srt(("00:00:01,000 --> 00:00:02,000", "from here\n--> to there"))) == ["from here --> to there"]


def test_cues_with_odd_time_stamps_are_read(shared_fixtures: Path) -> None:
    data = (shared_fixtures / "faults/13-odd-srt-timestamps/talk.srt").read_bytes()
    words = parse_subtitles(data, "srt").words
    assert [(word.start, word.end) for word in words] == [(1.5, 3), (5, 7), (8.5, 9.5), (10, 12), (13, 14)]
    assert [word.text for word in words][2:4] == ["short numbers", "coordinates"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("00:00:01,500 --> 00:00:03,000", (1.5, 3.0)),
        ("00:01.500 --> 00:03.000 align:start position:0%", (1.5, 3.0)),
        ("1:02:03.25-->1:02:04", (3723.25, 3724.0)),
        ("-00:00:01,000 --> 00:00:01,000", (-1.0, 1.0)),
        ("00:01:500 --> 00:03:000", (1.5, 3.0)),
        ("00;00;01;500 --> 00;00;03;000", (1.5, 3.0)),
        ("00.00.01,500 --> 00.00.03,000", (1.5, 3.0)),
        ("00:00:01,500 -> 00:00:03,000", (1.5, 3.0)),
        ("00:00:01,500 -- > 00:00:03,000", (1.5, 3.0)),
        ("00:00:01,500 → 00:00:03,000", (1.5, 3.0)),
        ("00：00：01，500 --＞ 00：00：03，000", (1.5, 3.0)),
        ("０0:00:01,500 --> 00:00:03,000", (1.5, 3.0)),
        ("٠٠:٠٠:٠١,٥٠٠ --> ٠٠:٠٠:٠٣,٠٠٠", (1.5, 3.0)),
        ("00:00:01,500 -->", (1.5, 1.5)),
        ("00:00:01,500 --> 00:00:0x,000", (1.5, 1.5)),
        ("00:00:0x,500 --> 00:00:03,000", None),
        ("1 --> 2", None),
        ("it was 3:2 -> 4:2", None),
        ("10-12", None),
    ],
)
def test_a_timing_line_is_read_in_any_shape(line: str, expected: tuple[float, float] | None) -> None:
    assert read_timing(line) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("unit", ["1:", "-", " ", "1 ", "-->", "0,"])
@pytest.mark.timeout(20)
def test_long_timing_lines_take_linear_time(unit: str) -> None:
    line = unit * 100_000 + "-->"
    for _ in range(20):
        read_timing(line)
