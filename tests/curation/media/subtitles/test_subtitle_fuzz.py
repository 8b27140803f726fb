"""Any captions written in any supported format are read whole: each cue at its time, with its text."""

import contextlib
import json
from collections.abc import Callable
from itertools import chain, pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from curation.media.speech.subtitle_reading import parse_subtitles
from curation.media.subtitles.cues import CueFile, SubtitleError, line_text
from curation.media.subtitles.subtitle_formats import SubtitleFormat, read_cues

Captions = list[tuple[int, int, list[str]]]
"""Start and end in milliseconds, and lines of text."""

WORDS = st.text("abcdefgäöüßéñçšžığабвгдאבגابت你好吗日本語0123456789'’,.!?-%$", min_size=1, max_size=8)
LINES = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


@st.composite
def captions(draw: st.DrawFn) -> Captions:
    """Draw captions in order of time, with an untouched pause after each."""
    made: Captions = []
    at = 0
    for _ in range(draw(st.integers(1, 8))):
        start = at + draw(st.integers(0, 4_000_000))
        end = start + draw(st.integers(100, 9_000))
        made.append((start, end, draw(st.lists(LINES, min_size=1, max_size=3))))
        at = end + 500
    return made


def stamp(ms: int, separator: str = ",", hours: str = "02") -> str:
    return f"{ms // 3_600_000:{hours}}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{separator}{ms % 1000:03}"


def as_srt(made: Captions, separator: str, gap: str, numbered: bool, arrow: str) -> str:
    """Write SubRip: `gap` stands between the lines of a cue."""
    cues = []
    for i, (start, end, lines) in enumerate(made, 1):
        number = f"{i}\n" if numbered else ""
        cues.append(f"{number}{stamp(start, separator)}{arrow}{stamp(end, separator)}\n{gap.join(lines)}\n")
    return "\n".join(cues)


def as_vtt(made: Captions) -> str:
    cues = [f"{stamp(a, '.')} --> {stamp(b, '.')} align:start\n" + "\n".join(lines) for a, b, lines in made]
    return "\n\n".join(["WEBVTT\nKind: captions", *cues])


def as_json3(made: Captions) -> str:
    events = [{"tStartMs": a, "dDurationMs": b - a, "segs": [{"utf8": "\n".join(lines)}]} for a, b, lines in made]
    return json.dumps({"events": [{"wpWinPosId": 1}, *events]})


def as_ass(made: Captions) -> str:
    head = "[Script Info]\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    lines = (
        f"Dialogue: 0,{stamp(a, '.', '01')},{stamp(b, '.', '01')},Default,{{\\i1}}" + "\\N".join(lines)
        for a, b, lines in made
    )
    return head + "\n".join(lines)


def check(file: CueFile, made: Captions) -> None:
    """Compare cues with captions: as many, at their times, with their text."""
    assert file.unread == 0
    assert [(round(cue.start * 1000), round(cue.end * 1000)) for cue in file.cues] == [(a, b) for a, b, _ in made]
    read = [" ".join(map(line_text, cue.lines)) for cue in file.cues]
    assert read == [" ".join(" ".join(lines).split()) for _, _, lines in made]


@given(
    captions(),
    st.sampled_from([",", ".", ":", " , ", "，"]),
    st.sampled_from(["\n", "\n\n", "\n \n"]),
    st.booleans(),
    st.sampled_from([" --> ", "-->", " -> ", " → "]),
)
@settings(deadline=None, max_examples=150)
def test_subrip_is_read_whole(made: Captions, separator: str, gap: str, numbered: bool, arrow: str) -> None:
    lines = [line for _, _, lines in made for line in lines]
    assume((numbered and gap == "\n") or not any(line.replace(" ", "").isdecimal() for line in lines))
    check(read_cues(as_srt(made, separator, gap, numbered, arrow), "srt"), made)


@pytest.mark.parametrize(("format", "write"), [("vtt", as_vtt), ("json3", as_json3), ("ass", as_ass)])
@given(made=captions())
@settings(deadline=None, max_examples=80)
def test_other_formats_are_read_whole(format: SubtitleFormat, write: Callable[[Captions], str], made: Captions) -> None:
    check(read_cues(write(made), format), made)


@given(captions(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(["\n", "\r\n", "\r"]))
@settings(deadline=None, max_examples=80)
def test_any_encoding_and_line_ending_gives_the_same_words(made: Captions, encoding: str, ending: str) -> None:
    text = as_srt(made, ",", "\n", True, " --> ")
    plain = parse_subtitles(text.encode(), "srt").words
    assert parse_subtitles(text.replace("\n", ending).encode(encoding), "srt").words == plain


@given(captions(), st.data())
@settings(deadline=None, max_examples=150)
def test_damage_to_one_cue_costs_no_other(made: Captions, data: st.DataObject) -> None:
    victim = data.draw(st.integers(0, len(made) - 1))
    lines = as_srt(made, ",", "\n", True, " --> ").split("\n")
    timing = [i for i, line in enumerate(lines) if "-->" in line][victim]
    lines[timing] = data.draw(st.text("0123456789:,.x ->", max_size=20)) + " --> " + "0x"
    with contextlib.suppress(SubtitleError):
        starts = {round(cue.start * 1000) for cue in read_cues("\n".join(lines), "srt").cues}
        assert starts >= {start for i, (start, _, _) in enumerate(made) if i != victim}


FRAGMENTS = (
    ["WEBVTT\n", "\n", "1\n", "00:00:01,000 --> 00:00:02,000\n", "00:01 -->", "-->", "<00:00:01.500>", "<c>", "[x]"],
    ["{\\", "♪", "A:", ">> ", "NOTE ", "[Events]\n", "Dialogue: 0,0:0:1,0:0:2,a,", '{"events":[', "\x00", "\u2028"],
    ["\ud800", "}", "a b", "٣:٤", "９", "&#x110000;", "&#0;", "\x1e", "a b c", "word"],
)


@given(
    st.lists(st.sampled_from([*chain(*FRAGMENTS)]), max_size=40).map("".join),
    st.sampled_from(["vtt", "srt", "json3", "ass", None]),
)
@settings(deadline=None, max_examples=400)
def test_any_fragments_of_subtitles_give_ordered_words_or_a_refusal(text: str, format: str | None) -> None:
    with contextlib.suppress(SubtitleError):
        words = parse_subtitles(text.encode("utf-8", "surrogatepass"), format, duration=50.0).words
        assert all(0 <= word.start <= word.end <= 50.0 and word.text.strip() for word in words)
        assert all(a.end <= b.start for a, b in pairwise(words))
