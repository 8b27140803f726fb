"""Captions keep what is said, and lose sound tags, lyrics, speaker marks and markup."""

import pytest
from support.subtitle_texts import vtt

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
