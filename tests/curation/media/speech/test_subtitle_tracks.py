"""Site subtitles: real files, and hostile ones."""

import contextlib
import json
import random
import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.media.speech.cues import SubtitleError
from curation.media.speech.subtitle_reading import MAX_BYTES, parse_subtitles, read_track
from curation.media.speech.subtitle_tracks import Track, choose_track, language_code
from curation.media.speech.text_encoding import decode_text


def vtt(*cues, header="WEBVTT"):
    return f"{header}\n\n" + "\n\n".join(f"{timing}\n{text}" for timing, text in cues)


def srt_texts(text, timing="00:00:01,000 --> 00:00:04,000"):
    return [word.text for word in parse_subtitles(f"1\n{timing}\n{text}\n".encode(), "srt").words]


def words_of(path, duration=1e5):
    return read_track(Track(path, None, "manual", path.suffix[1:]), duration).words


@pytest.fixture()
def subs(shared_fixtures):
    return shared_fixtures / "subs"


# --- YouTube ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["DERIVED_asr_en_first300s.rolling.vtt", "asr_en_first300s.json3"])
def test_automatic_captions_give_each_word_once_at_its_time(subs, name):
    folder = subs / "youtube_asr"
    expected = json.loads((folder / "DERIVED_asr_en_first300s.expected.json").read_text())["words"]
    words = parse_subtitles((folder / name).read_bytes(), name.rpartition(".")[2]).words
    assert len(words) == 607
    assert [(word.text, round(word.start * 1000)) for word in words] == [(word["w"], word["ms"]) for word in expected]
    assert all(a.end <= b.start for a, b in pairwise(words))
    assert all(0 < word.end - word.start <= 2.0 for word in words)


def test_rolling_captions_without_word_times_give_each_line_once(subs):
    text = (subs / "youtube_asr/DERIVED_asr_en_first300s.rolling.vtt").read_text()
    plain = re.sub(r"<[^>]*>", "", text)
    told = " ".join(word.text for word in parse_subtitles(plain.encode(), "vtt").words)
    expected = json.loads((subs / "youtube_asr/DERIVED_asr_en_first300s.expected.json").read_text())["text"]
    assert told == expected


def test_a_real_fragment_with_coloured_words_gives_each_word_once(subs):
    words = words_of(subs / "webvtt-py/youtube_dl.vtt")
    assert " ".join(word.text for word in words) == "yeah what this will happen is I'm telling"
    assert [word.start for word in words][-2:] == [304.86, 305.069]


def test_a_repeated_line_that_is_not_carried_over_stays():
    cues = [("00:01.000 --> 00:02.000", "Oh!"), ("00:02.000 --> 00:03.000", "Oh!"), ("00:03.000 --> 00:04.000", "Oh!")]
    assert len(parse_subtitles(vtt(*cues).encode(), "vtt").words) == 3


def test_a_line_that_happens_to_be_carried_once_stays_in_captions_that_do_not_roll():
    texts = ["la la\nOh", "Oh\nyes", "no", "so", "well"]
    cues = [(f"00:0{i}.000 --> 00:0{i + 1}.000", text) for i, text in enumerate(texts)]
    assert [word.text for word in parse_subtitles(vtt(*cues).encode(), "vtt").words][:2] == ["la la Oh", "Oh yes"]


def test_an_automatic_word_ends_with_the_next_one_or_its_cue_or_after_two_seconds():
    cues = [("00:01.000 --> 00:01.900", "a<00:01.400><c> b</c>"), ("00:05.000 --> 00:30.000", "c<00:05.200><c> d</c>")]
    times = [(word.start, word.end) for word in parse_subtitles(vtt(*cues).encode(), "vtt").words]
    assert times == [(1.0, 1.4), (1.4, 1.9), (5.0, 5.2), (5.2, 7.2)]


def test_json3_written_by_people_gives_one_unit_a_cue():
    events = [{"tStartMs": 1000, "dDurationMs": 2000, "segs": [{"utf8": "Hello there,\nyou "}, {"utf8": "two."}]}]
    words = parse_subtitles(json.dumps({"events": events}).encode(), "json3").words
    assert [(word.start, word.end, word.text) for word in words] == [(1.0, 3.0, "Hello there, you two.")]


def test_json3_with_broken_events_keeps_the_others():
    good = {"tStartMs": "1000", "dDurationMs": 500.0, "segs": [{"utf8": "fine"}]}
    bad = [None, 3, {"segs": None}, {"segs": [{}]}, {"tStartMs": None, "segs": [{"utf8": "x"}]}]
    bad += [{"tStartMs": 1e400, "segs": [{"utf8": "x"}]}, {"tStartMs": True, "segs": [{"utf8": "x"}, 7]}]
    words = parse_subtitles(json.dumps({"events": [*bad, good]}).encode(), "json3").words
    assert [word.text for word in words] == ["fine"]


def test_syllables_with_times_of_their_own_are_one_word():
    text = vtt(("00:01.000 --> 00:04.000", "un<00:01.300>believ<00:01.600>able<00:02.000> day"))
    assert [word.text for word in parse_subtitles(text.encode(), "vtt").words] == ["unbelievable", "day"]


# --- real files of other makers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("webvtt-py/captions_with_bom.vtt", 4),
        ("webvtt-py/comments.vtt", 3),
        ("webvtt-py/cue_tags.vtt", 8),
        ("webvtt-py/invalid_timeframe.srt", 5),  # a dot for a comma is understood
        ("webvtt-py/invalid_timeframe.vtt", 6),
        ("webvtt-py/invalid_timeframe_in_cue_text.vtt", 3),
        ("webvtt-py/metadata_headers_multiline.vtt", 2),
        ("webvtt-py/missing_caption_text.srt", 4),
        ("webvtt-py/missing_caption_text.vtt", 4),
        ("webvtt-py/missing_timeframe.srt", 4),
        ("webvtt-py/missing_timeframe.vtt", 6),
        ("webvtt-py/no_captions.vtt", 0),
        ("webvtt-py/one_caption.srt", 1),
        ("webvtt-py/sample.srt", 5),
        ("webvtt-py/sample.vtt", 16),
        ("webvtt-py/styles.vtt", 1),
        ("webvtt-py/using_identifiers.vtt", 6),
        ("moviepy/subtitles.srt", 5),
        ("moviepy/subtitles-unicode.srt", 1),
        ("ableplayer/paulallen_en.vtt", 38),
        ("ableplayer/wwa_captions_en.vtt", 14),
        ("sintel/sintel-de.vtt", 13),
        ("nasa_13013.en.srt", 4),
    ],
)
def test_well_formed_cues_survive_whatever_stands_around_them(subs, name, count):
    assert len(words_of(subs / name)) == count


@pytest.mark.parametrize(
    "name", ["empty.vtt", "invalid.vtt", *(f"invalid_format{i}.srt" for i in range(1, 5)), "invalid_format.sbv"]
)
def test_what_is_no_subtitle_file_is_refused(subs, name):
    with pytest.raises(SubtitleError):
        words_of(subs / "webvtt-py" / name)


@pytest.mark.parametrize("kind", ["chapters", "description", "descriptions"])
def test_chapters_and_descriptions_are_no_captions(subs, kind):
    paths = list((subs / "ableplayer").glob(f"*_{kind}_en.vtt")) + list((subs / "ableplayer").glob(f"*-{kind}_en.vtt"))
    assert paths
    for path in paths:
        with pytest.raises(SubtitleError, match="not captions"):
            words_of(path)


def test_a_header_that_says_chapters_is_believed_whatever_the_name(subs):
    with pytest.raises(SubtitleError, match="chapters"):
        parse_subtitles((subs / "ableplayer/frenchsong_chapters_en.vtt").read_bytes(), "vtt")


def test_real_captions_lose_sound_tags_speakers_and_markup(subs):
    told = " ".join(word.text for word in words_of(subs / "ableplayer/blocks4all_captions_en.vtt"))
    assert told.startswith("Boon, he's very excited about the world. He's up for almost anything.")
    told += " ".join(word.text for word in words_of(subs / "webvtt-py/netflix_chicas_del_cable.vtt"))
    assert not set(told) & set("<>[]{}♪")


def test_a_narrators_name_in_capitals_is_no_speech(subs):
    assert words_of(subs / "nasa_13013.en.srt")[0].text == "This is the optical and science segment of the Webb"


def test_every_real_file_gives_monotone_words_within_the_video(subs):
    for path in [*subs.rglob("*.vtt"), *subs.rglob("*.srt"), *subs.rglob("*.json3")]:
        try:
            words = words_of(path, duration=100.0)
        except SubtitleError:
            continue
        assert all(0 <= word.start < word.end <= 100.0 for word in words), path
        assert all(a.end <= b.start for a, b in pairwise(words)), path


# --- cleaning --------------------------------------------------------------------------------------------------------


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
def test_only_speech_is_kept(text, expected):
    assert srt_texts(text) == expected


def test_a_sound_tag_over_several_timed_words_leaves_the_others_at_their_times():
    text = vtt(("00:01.000 --> 00:04.000", "so<00:01.300><c> [loud</c><00:01.600><c> music]</c><00:02.000><c> we</c>"))
    words = parse_subtitles(text.encode(), "vtt").words
    assert [(word.start, word.text) for word in words] == [(1.0, "so"), (2.0, "we")]


# --- bad times -------------------------------------------------------------------------------------------------------


def srt(*cues):
    return "\n\n".join(f"{i}\n{timing}\n{text}" for i, (timing, text) in enumerate(cues, 1)).encode()


def test_overlapping_cues_are_made_to_follow_each_other():
    data = srt(("00:00:01,000 --> 00:00:05,000", "a"), ("00:00:03,000 --> 00:00:06,000", "b"))
    assert [(word.start, word.end) for word in parse_subtitles(data, "srt").words] == [(1.0, 3.0), (3.0, 6.0)]


def test_disordered_cues_are_put_in_order():
    data = srt(("00:00:05,000 --> 00:00:06,000", "b"), ("00:00:01,000 --> 00:00:02,000", "a"))
    assert [word.text for word in parse_subtitles(data, "srt").words] == ["a", "b"]


def test_cues_that_end_before_they_start_keep_their_text():
    data = srt(("00:00:05,000 --> 00:00:03,000", "two words"), ("00:00:08,000 --> 00:00:09,000", "b"))
    assert [(word.start, word.end) for word in parse_subtitles(data, "srt").words] == [(5.0, 5.6), (8.0, 9.0)]


def test_cues_below_zero_and_beyond_the_video_are_clipped_or_dropped():
    data = srt(
        ("-00:00:05,000 --> -00:00:01,000", "before"),
        ("-00:00:01,000 --> 00:00:02,000", "a"),
        ("00:00:08,000 --> 00:01:00,000", "b"),
        ("00:00:20,000 --> 00:00:21,000", "after"),
    )
    words = parse_subtitles(data, "srt", duration=10.0).words
    assert [(word.start, word.end, word.text) for word in words] == [(0.0, 2.0, "a"), (8.0, 10.0, "b")]


def test_a_cue_told_twice_is_kept_once():
    data = srt(*[("00:00:01,000 --> 00:00:02,000", "a")] * 3)
    assert len(parse_subtitles(data, "srt").words) == 1


# --- encodings and formats -------------------------------------------------------------------------------------------

ACCENTS = "1\n00:00:01,000 --> 00:00:02,000\nC’était déjà l’été à Besançon, où le garçon préférait être seul…\n"
RUSSIAN = "1\n00:00:01,000 --> 00:00:02,000\nПривет, как дела? Это тестовые субтитры для проверки.\n"
CHINESE = "1\n00:00:01,000 --> 00:00:02,000\n这是一个测试字幕文件，用来检查编码。\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *[(ACCENTS, name) for name in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252")],
        (ACCENTS.replace("’", "'").replace("…", "."), "latin-1"),
        (RUSSIAN, "cp1251"),
        (CHINESE, "gb18030"),
    ],
)
def test_text_is_read_in_its_encoding(text, encoding):
    assert decode_text(text.encode(encoding)) == text


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\r\r\n"])
def test_any_line_ending_is_understood(ending):
    data = srt(("00:00:01,000 --> 00:00:02,000", "a\nb"), ("00:00:03,000 --> 00:00:04,000", "c"))
    words = parse_subtitles(data.decode().replace("\n", ending).encode(), "srt").words
    assert [word.text for word in words] == ["a b", "c"]


def test_the_signature_of_a_file_counts_more_than_its_name():
    data = vtt(("00:01.000 --> 00:02.000", "a")).encode()
    assert len(parse_subtitles(data, "srt").words) == len(parse_subtitles(data).words) == 1


def test_substation_alpha_is_read():
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
def test_what_holds_no_cue_is_refused(data, format):
    with pytest.raises(SubtitleError):
        parse_subtitles(data, format)


def test_an_unknown_format_is_refused():
    with pytest.raises(SubtitleError, match="ttml"):
        parse_subtitles(b"<tt/>", "ttml")


def test_subtitle_errors_are_value_errors():
    assert issubclass(SubtitleError, ValueError)


# --- hostile input ---------------------------------------------------------------------------------------------------


def test_a_file_that_is_too_large_is_refused(tmp_path):
    path = tmp_path / "large.vtt"
    path.write_bytes(b"WEBVTT\n\n" + b"\n" * MAX_BYTES)
    with pytest.raises(SubtitleError, match="larger"):
        read_track(Track(path, "en", "manual", "vtt"), 10.0)


def test_more_cues_than_any_video_has_are_refused(monkeypatch):
    monkeypatch.setattr("curation.media.speech.subtitle_formats.MAX_CUES", 3)
    cues = [(f"00:0{i}.000 --> 00:0{i}.900", "a") for i in range(4)]
    assert len(parse_subtitles(vtt(*cues[:3]).encode(), "vtt").words) == 3
    with pytest.raises(SubtitleError, match="cues"):
        parse_subtitles(vtt(*cues).encode(), "vtt")


@pytest.mark.parametrize(
    "unit",
    ["[", "(", "♪ ", "<", "<a", "&", "&lt;", "{\\", "\n", " ", ">>", "A:", "- ", "()", "*a", "-->", "<00:00:01.000>"],
)
def test_repeated_marks_take_linear_time(unit):
    line = unit * (2000 // len(unit.replace("\n", " ")))
    cues = "\n\n".join(
        f"00:{i // 60:02}:{i % 60:02}.000 --> 00:{i // 60:02}:{i % 60:02}.900\n{line}" for i in range(200)
    )
    began = time.thread_time()
    parse_subtitles(f"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n\n{cues}".encode(), "vtt")
    parse_subtitles(
        f"WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n\n00:02.000 --> 00:03.000\n{unit * 100_000}".encode(), "vtt"
    )
    assert time.thread_time() - began < 10


@given(st.text(alphabet="<>[]()♪-:\n 0123456789.,&;abA\\{}*>\x1e", max_size=300))
@settings(deadline=None, max_examples=300)
def test_any_text_in_a_cue_gives_clean_words_or_none(text):
    data = f"WEBVTT\n\n00:00:01.000 --> 00:00:09.000\n{text}\n\n00:00:10.000 --> 00:00:11.000\nlast"
    words = parse_subtitles(data.encode(), "vtt", duration=20.0).words
    assert all(0 <= word.start < word.end <= 20 and word.text.strip() == word.text != "" for word in words)


@given(st.binary(max_size=400), st.sampled_from(["vtt", "srt", "json3", "ass", None]))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_parsed_or_refused(data, format):
    with contextlib.suppress(SubtitleError):
        parse_subtitles(b"WEBVTT\n" + data if format == "vtt" else data, format, duration=10.0)


# --- tracks ----------------------------------------------------------------------------------------------------------


def track(language, kind="manual", format="vtt", name="subtitles"):
    return Track(Path(f"{name}.{format}"), language, kind, format)


def test_what_people_wrote_comes_before_what_was_recognised():
    manual, auto = track("de"), track("en", "auto")
    assert choose_track([auto, manual], ["en", "de"]) is manual


def test_languages_are_preferred_in_their_order():
    tracks = [track("fr"), track("en-GB"), track("de")]
    assert choose_track(tracks, ["de", "en"]) is tracks[2]
    assert choose_track(tracks, ["eng"]) is tracks[1]
    assert choose_track(tracks, ["ja"]) is None
    assert choose_track(tracks, []) is tracks[0]


def test_a_track_without_language_is_the_last_resort():
    nameless, english = track(None), track("en")
    assert choose_track([nameless, english], ["en"]) is english
    assert choose_track([nameless], ["en"]) is nameless


def test_recognised_speech_is_preferred_to_its_translation():
    translated, original = track("en", "auto"), track("en-orig", "auto")
    assert choose_track([translated, original], ["en"]) is original


def test_of_one_track_the_format_with_word_times_is_preferred():
    tracks = [track("en", "auto", "vtt"), track("en", "auto", "json3"), track("en", "auto", "srv3")]
    assert choose_track(tracks, ["en"]) is tracks[1]


def test_tracks_that_are_no_captions_are_not_chosen():
    assert choose_track([track("en", name="movie.chapters.en"), track("live_chat", format="json")], []) is None


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en-US", "en"),
        ("en-orig", "en"),
        ("eng", "en"),
        ("EN_us", "en"),
        ("zh-Hans", "zh"),
        ("iw", "he"),
        ("fil", "fil"),
        ("und", None),
        ("live_chat", None),
        ("not a language", None),
        ("", None),
        (None, None),
    ],
)
def test_language_tags_become_iso_639_1(tag, code):
    assert language_code(tag) == code


def test_a_track_tells_language_and_origin(tmp_path):
    path = tmp_path / "a.vtt"
    path.write_text(vtt(("00:01.000 --> 00:02.000", "a"), header="WEBVTT\nKind: captions\nLanguage: de"))
    assert read_track(Track(path, "en-US", "auto", "vtt"), 10.0).language == "en"
    assert read_track(Track(path, None, "auto", "vtt"), 10.0).language == "de"
    assert read_track(Track(path, None, "auto", "vtt"), 10.0).origin == "auto"
