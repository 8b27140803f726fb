"""SubStation Alpha is read without its overrides and drawings, in linear time."""

import time

import pytest

from curation.media.speech.subtitle_reading import parse_subtitles
from curation.media.subtitles.cues import SubtitleError
from curation.media.subtitles.subtitle_formats import read_cues

HEAD = "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nStyle: Default,Arial,20\n\n[Events]\n"
FORMAT = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"


def line(text: str, times: str = "0:00:01.00,0:00:02.50") -> str:
    return f"Dialogue: 0,{times},Default,,0,0,0,,{text}\n"


def texts(body: str) -> list[str]:
    return [word.text for word in parse_subtitles((HEAD + body).encode(), "ass").words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"{\i1}Hello{\i0}, you", "Hello, you"),
        (r"{\k20}un{\k30}believ{\k10}able", "unbelievable"),
        (r"first\Nsecond\nthird\hfourth", "first second third fourth"),
        (r"{\p1}m 0 0 l 100 0{\p0}said", "said"),
        (r"{\pos(1,2)\p1}m 0 0{\p0\i1}said", "said"),
        (r"{\an8\{\b1}said", "said"),
        ("unclosed { brace", "unclosed { brace"),
    ],
)
def test_overrides_and_drawings_are_left_out(text: str, expected: str) -> None:
    assert texts(FORMAT + line(text)) == [expected]


def test_fields_are_found_by_the_format_line() -> None:
    assert texts("Format: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.00,a, b\n") == ["a, b"]
    assert texts("Format: Marked, Start, End, Style, Text\nDialogue: Marked=0,0:00:01.00,0:00:02.00,*D,a\n") == ["a"]
    assert texts(line("without a format line")) == ["without a format line"]


def test_comments_and_other_sections_are_no_speech() -> None:
    body = FORMAT + line("said") + "Comment: 0,0:00:03.00,0:00:04.00,D,,0,0,0,,not\n[Fonts]\n" + line("not")
    assert texts(body) == ["said"]


def test_a_line_whose_start_can_not_be_read_is_counted() -> None:
    file = read_cues(HEAD + FORMAT + line("said") + line("lost", "0:0x:01.00,0:00:02.00"), "ass")
    assert (len(file.cues), file.unread) == (1, 1)


@pytest.mark.parametrize("unit", ["{\\", "{\\}", "{\\p1}", "a,", "[Events]\n", "Dialogue: {\\\n"])
def test_hostile_text_takes_linear_time(unit: str) -> None:
    data = (HEAD + FORMAT + line("said") + line("")[:-1] + unit * (2**20 // len(unit))).encode()
    began = time.process_time()
    words = parse_subtitles(data, "srt").words  # the signature makes it SubStation Alpha
    assert time.process_time() - began < 20.0  # pysubs2 took minutes
    assert words[0].text == "said"


def test_a_file_without_dialogue_is_refused() -> None:
    with pytest.raises(SubtitleError, match="no ass cue"):
        parse_subtitles((HEAD + FORMAT).encode(), "ass")
