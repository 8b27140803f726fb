"""Subtitle files of each format: cut, lying, and built so that a careless parser takes quadratic time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from support.hostile_rows import Row, outcome_of

from curation.media.speech.subtitle_reading import MAX_BYTES, read_track
from curation.media.subtitles.subtitle_tracks import Track

MANY = 100_000
CUE = "00:00:01,000 --> 00:00:02,000\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.000\n"
ASS = "[Script Info]\n\n[Events]\nFormat: Layer, Start, End, Style, Text\nDialogue: 0,0:00:01.00,0:00:02.00,D,"
READ = r"read: \d+ words"
NO = r"no subtitles: "
ANY = r"(read|no subtitles): "


def _track(format_: str, text: Callable[[], str | bytes]) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        data = text()
        path = folder / f"s.{format_}"
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
        track = Track(path, "en", "manual", format_)
        return outcome_of(lambda: f"{len(read_track(track, 3600.0).words)} words")

    return act


def _json3(value: object) -> Callable[[], str]:
    return lambda: json.dumps({"events": value})


def _seg(text: str, start: object = 0, **more: object) -> dict[str, object]:
    return {"tStartMs": start, "dDurationMs": 1000, "segs": [{"utf8": text}], **more}


def _growing() -> str:
    """Captions of up to 300 words that grow by one word a second."""
    times = [f"00:{i // 60:02}:{i % 60:02}" for i in range(3000)]
    cues = (f"{at}.000 --> {at}.900\n{'word ' * (i % 300)}\n\n" for i, at in enumerate(times))
    return "WEBVTT\n\n" + "".join(cues)


def _event(text: str) -> Callable[[], str]:
    """Return json3 with one event, whose start and text are the JSON in `text`."""
    return lambda: f'{{"events": [{text}]}}'


ROWS = [
    *(Row(f"an empty {name}", _track(name, bytes), NO) for name in ("srt", "vtt", "json3", "ass")),
    *(Row(f"a {name} of zeros", _track(name, lambda: bytes(MANY)), NO) for name in ("srt", "vtt", "json3", "ass")),
    *(Row(f"a {name} of 0xff", _track(name, lambda: b"\xff" * MANY), NO) for name in ("srt", "vtt", "json3", "ass")),
    *(
        Row(f"a {name} over the limit of size", _track(name, lambda: b" " * (MAX_BYTES + 1)), r"no subtitles: larger")
        for name in ("srt", "vtt", "json3", "ass")
    ),
    Row("srt in UTF-16 of an odd length", _track("srt", lambda: ("1\n" + CUE + "hello").encode("utf-16") + b"x"), ANY),
    Row("srt in UTF-32", _track("srt", lambda: ("1\n" + CUE + "hello").encode("utf-32")), ANY),
    Row("srt with half a character", _track("srt", lambda: "1\n" + CUE + "a \ud800 b\n"), ANY),
    Row("srt of 100,000 arrows", _track("srt", lambda: "-->" * MANY), ANY),
    Row("srt of 100,000 timing lines", _track("srt", lambda: CUE * MANY), ANY, seconds=20, megabytes=300),
    Row("srt with times of 400 digits", _track("srt", lambda: f"{'9' * 400}:00:00,000 --> 00:00:02,000\nhi\n"), ANY),
    Row("srt that ends before it begins", _track("srt", lambda: "00:00:09,000 --> 00:00:01,000\nhi\n"), READ),
    Row("srt with times below zero", _track("srt", lambda: "-00:00:09,000 --> -00:00:01,000\nhi\n"), ANY),
    Row("srt with open tags", _track("srt", lambda: CUE + "<i" * MANY), ANY),
    Row("srt with open brackets", _track("srt", lambda: (CUE + "[" * 1900 + "\n\n") * 500), ANY, seconds=10),
    Row("srt with open parentheses", _track("srt", lambda: (CUE + "(" * 1900 + "\n\n") * 500), ANY, seconds=10),
    Row("srt with notes", _track("srt", lambda: (CUE + "♪ " * 900 + "\n\n") * 500), ANY, seconds=10),
    Row("srt with dashes", _track("srt", lambda: (CUE + "- " * 900 + "\n\n") * 500), ANY, seconds=10),
    Row("srt with speakers", _track("srt", lambda: (CUE + "A B C D: " * 200 + "\n\n") * 500), ANY, seconds=20),
    Row("srt with numbers only", _track("srt", lambda: "1\n" * MANY), NO),
    Row(
        "srt with spaces in a time stamp", _track("srt", lambda: f"00:{' ' * MANY}00:01,000 --> 00:00:02,000\nhi"), ANY
    ),
    Row("srt of one line of 4 MB", _track("srt", lambda: CUE + "a" * (4 << 20)), ANY),
    Row("srt of combining marks", _track("srt", lambda: CUE + "a" + "\u0301" * 1900 + "\n"), ANY),
    Row("srt that begins like SubStation Alpha", _track("srt", lambda: ASS + "{\\" * MANY), ANY),
    Row("vtt without cues", _track("vtt", lambda: "WEBVTT\n" + "NOTE\n" * MANY), ANY),
    Row("vtt of chapters", _track("vtt", lambda: "WEBVTT\nKind: chapters\n\n" + VTT[8:] + "One\n"), NO),
    Row("vtt of entities", _track("vtt", lambda: VTT + "&amp;" * 300), ANY),
    Row("vtt of entities without an end", _track("vtt", lambda: VTT + "&#x" + "9" * 1900), ANY),
    Row("vtt of inline times", _track("vtt", lambda: VTT + "<00:01.000>a" * 150), ANY),
    Row("vtt of 100,000 headers", _track("vtt", lambda: "WEBVTT\n" + "a: b\n" * MANY), ANY),
    Row("vtt of styles", _track("vtt", lambda: "WEBVTT\n\n" + "STYLE\n::cue {" * MANY), ANY),
    Row("vtt of carriage returns", _track("vtt", lambda: "WEBVTT" + "\r" * MANY), ANY),
    Row("vtt of growing captions", _track("vtt", _growing), READ, seconds=20),
    Row("json3 nested 100,000 deep", _track("json3", lambda: '{"events":' + "[" * MANY), NO),
    Row("json3 of other types", _track("json3", _json3([1, None, "a", [], {"segs": 3}, {"segs": [1, {}]}])), NO),
    Row("json3 with events that are no list", _track("json3", _json3({"a": 1})), NO),
    Row("json3 that begins at infinity", _track("json3", _json3([_seg("hi", float("inf"))])), ANY),
    Row("json3 that begins at NaN", _track("json3", _json3([_seg("hi", float("nan"))])), ANY),
    Row("json3 that begins at true", _track("json3", _json3([_seg("hi", True)])), ANY),
    Row("json3 that begins at 10^400", _track("json3", _event('{"tStartMs":1e400,"segs":[{"utf8":"a"}]}')), ANY),
    Row("json3 with an integer of 5,000 digits", _track("json3", lambda: '{"events":[' + "9" * 5000 + "]}"), NO),
    Row("json3 with a cue of a megabyte", _track("json3", _json3([_seg("a " * 500_000)])), ANY),
    Row("json3 with half a character", _track("json3", _event('{"tStartMs":0,"segs":[{"utf8":"a\\ud800"}]}')), ANY),
    Row("json3 of 100,000 pieces", _track("json3", _json3([{"tStartMs": 0, "segs": [{"utf8": "a"}] * MANY}])), ANY),
    Row(
        "json3 of 30,000 events at once", _track("json3", _json3([_seg("a")] * 50_000)), ANY, seconds=20, megabytes=300
    ),
    Row("ass with open override blocks", _track("ass", lambda: ASS + "{\\" * MANY), ANY),
    Row("ass with nested override blocks", _track("ass", lambda: ASS + "{\\{\\" * MANY), ANY),
    Row("ass with drawings", _track("ass", lambda: ASS + "{\\p1}" * MANY), ANY),
    Row("ass with 100,000 commas", _track("ass", lambda: ASS + "," * MANY), ANY),
    Row("ass with 100,000 fields", _track("ass", lambda: "[Events]\nFormat: " + "a," * MANY + "\nDialogue: x"), NO),
    Row("ass with 100,000 sections", _track("ass", lambda: "[Script Info]\n" + "[Events]\n" * MANY), NO),
    Row("ass with a time of letters", _track("ass", lambda: ASS.replace("0:00:01.00", "soon") + "hello"), ANY),
]
