"""The choice among the subtitle tracks of a video."""

from pathlib import Path

import pytest

from curation.media.subtitles.subtitle_tracks import (
    Track,
    TrackKind,
    choose_track,
    language_code,
    spoken_language,
)


def track(language: str | None, kind: TrackKind = "manual", format: str = "vtt", name: str = "subtitles") -> Track:
    return Track(Path(f"{name}.{format}"), language, kind, format)


def test_manual_tracks_are_preferred_to_recognized_ones() -> None:
    manual, auto = track("de"), track("en", "auto")
    assert choose_track([auto, manual], ["en", "de"]) is manual


def test_languages_are_preferred_in_their_order() -> None:
    tracks = [track("fr"), track("en-GB"), track("de")]
    assert choose_track(tracks, ["de", "en"]) is tracks[2]
    assert choose_track(tracks, ["eng"]) is tracks[1]
    assert choose_track(tracks, ["ja"]) is None
    assert choose_track(tracks, []) is tracks[0]


def test_translations_of_what_is_spoken_are_not_chosen() -> None:
    arabic, english, nameless = track("ar"), track("en"), track(None)
    assert choose_track([arabic, english], [], "en") is english
    assert choose_track([arabic, english], ["en"], "ar") is arabic
    assert choose_track([english], ["en"], "de") is None
    assert choose_track([english, nameless], ["en"], "de") is nameless


def test_a_language_that_contains_another_is_the_same() -> None:
    bokmal = track("nob")
    assert choose_track([bokmal], [], "no") is bokmal


def test_the_spoken_language_is_what_the_site_recognized() -> None:
    assert spoken_language("de-DE", [track("en", "auto")], "eng") == "de"
    assert spoken_language(None, [track("ar"), track("en", "auto")], "fra") == "en"
    assert spoken_language(None, [track("fr", "auto"), track("en-orig", "auto")], None) == "en"
    assert spoken_language(None, [track("fr", "auto"), track("en", "auto")], "fra") == "fr"
    assert spoken_language(None, [track("ar")], None) is None


def test_a_track_without_language_is_the_last_resort() -> None:
    nameless, english = track(None), track("en")
    assert choose_track([nameless, english], ["en"]) is english
    assert choose_track([nameless], ["en"]) is nameless


def test_recognized_speech_is_preferred_to_its_translation() -> None:
    translated, original = track("en", "auto"), track("en-orig", "auto")
    assert choose_track([translated, original], ["en"]) is original


def test_the_format_with_word_times_is_preferred() -> None:
    tracks = [track("en", "auto", "vtt"), track("en", "auto", "json3"), track("en", "auto", "srv3")]
    assert choose_track(tracks, ["en"]) is tracks[1]


def test_chapters_and_chats_are_not_chosen() -> None:
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
def test_language_tags_become_iso_639_1(tag: str | None, code: str | None) -> None:
    assert language_code(tag) == code
