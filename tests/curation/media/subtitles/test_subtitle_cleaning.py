"""Captions keep what is said, and lose sound tags, lyrics, speaker marks and markup."""

from pathlib import Path

import pytest
from support.subtitle_texts import srt, vtt

from curation.media.speech.subtitle_reading import parse_subtitles


def srt_texts(text: str, timing: str = "00:00:01,000 --> 00:00:04,000") -> list[str]:
    return [word.text for word in parse_subtitles(f"1\n{timing}\n{text}\n".encode(), "srt").words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Music]", []),
        ("[ [ nested ] ]", []),
        ("[jaunty piano\ntune]", []),
        ("(applause)", []),
        ("(LAUGHS LOUDLY) Yes", ["Yes"]),
        ("So (which is nice) we go", ["So (which is nice) we go"]),
        ("So (laughs) we go", ["So we go"]),
        ("♪ la la la\nla la ♪", []),
        ("♪ la la la", []),
        ("Listen ♪ la la ♪ now", ["Listen now"]),
        (">> Hello. >> Hi.", ["Hello. Hi."]),
        ("&gt;&gt; REPORTER: Hello", ["Hello"]),
        (">> Jane Doe: Hello", ["Hello"]),
        ("MAN #2: Stop!\nJANE: No!", ["Stop! No!"]),
        ("Note: this is said", ["Note: this is said"]),
        ("AT 10:30 we left", ["AT 10:30 we left"]),
        ("- Hello.\n- Hi.", ["Hello. Hi."]),
        ("It is -5 degrees", ["It is -5 degrees"]),
        ("-5 degrees", ["-5 degrees"]),
        ("<v Jane>Hello</v>", ["Hello"]),
        ("<font color='#fff'>Hello</font> {\\an8}<i>you</i>", ["Hello you"]),
        ("Tom &amp; Jerry&#39;s &lt;3 &nbsp; boat", ["Tom & Jerry's <3 boat"]),
        ("&amp;quot;Quoted&amp;quot;", ['"Quoted"']),
        ("3 < 4 and 5 > 2", ["3 < 4 and 5 > 2"]),
        ("zero\u200bwidth\ufeff and \u202eturned\u202c", ["zerowidth and turned"]),
        ("first\\Nsecond\\hthird", ["first second third"]),
        ("...", []),
        ("e\u0301te\u0301", ["été"]),
        ("[&nbsp;__&nbsp;] happens", ["happens"]),
    ],
)
def test_only_speech_is_kept(text: str, expected: list[str]) -> None:
    assert srt_texts(text) == expected


def test_a_sound_tag_over_several_timed_words_leaves_the_others_at_their_times() -> None:
    text = vtt(("00:01.000 --> 00:04.000", "so<00:01.300><c> [loud</c><00:01.600><c> music]</c><00:02.000><c> we</c>"))
    words = parse_subtitles(text.encode(), "vtt").words
    assert [(word.start, word.text) for word in words] == [(1.0, "so"), (2.0, "we")]


def test_speech_before_a_colon_stays_in_captions_in_capitals(shared_fixtures: Path) -> None:
    data = (shared_fixtures / "faults/11-capitals-before-colon/talk.en.srt").read_bytes()
    assert [word.text for word in parse_subtitles(data, "srt").words] == [
        "HERE IS THE THING: WE NEED MORE WATER.",
        "AND THE RULE IS SIMPLE: NEVER LOOK DOWN.",
        "COVID-19: what we know so far.",
        "The bridge is open.",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">> REPORTER: THE BRIDGE IS OPEN.", "THE BRIDGE IS OPEN."),
        ("WARNING SIGNS: LOOK FOR THEM.", "WARNING SIGNS: LOOK FOR THEM."),
        (
            "DREI DINGE BRAUCHT DER MANN: FEUER, PFEIFE, STANWELL.",
            "DREI DINGE BRAUCHT DER MANN: FEUER, PFEIFE, STANWELL.",
        ),
        (">> WAIT FOR IT: NOW.", "WAIT FOR IT: NOW."),
        (">> Remember: it is late.", "Remember: it is late."),
        ("USB-C: the new plug.", "USB-C: the new plug."),
        ("MP3: A format.", "MP3: A format."),
        ("SECOND MAN ON RADIO: We hear you.", "We hear you."),
        ("ДИКТОР: Мост открыт.", "Мост открыт."),
    ],
)
def test_only_names_of_speakers_are_removed_before_a_colon(text: str, expected: str) -> None:
    assert srt_texts(text) == [expected]


def test_a_name_repeated_in_captions_in_capitals_is_a_speaker() -> None:
    cues = [("00:00:01,000 --> 00:00:02,000", "ANNA: NO."), ("00:00:03,000 --> 00:00:04,000", "ANNA: I WILL NOT.")]
    assert [word.text for word in parse_subtitles(srt(*cues), "srt").words] == ["NO.", "I WILL NOT."]


def test_an_acronym_that_the_track_says_elsewhere_is_no_speaker() -> None:
    cues = [("00:00:01,000 --> 00:00:02,000", "NASA: The agency"), ("00:00:03,000 --> 00:00:04,000", "that is NASA")]
    assert parse_subtitles(srt(*cues), "srt").words[0].text == "NASA: The agency"
