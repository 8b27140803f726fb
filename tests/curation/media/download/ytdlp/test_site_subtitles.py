"""The choice among the subtitles that a site offers."""

from curation.media.download.ytdlp.site_subtitles import choose_subtitles, stated_language

YOUTUBE_CAPTIONS = {
    "en-orig": [{"ext": "json3", "url": "https://y.t/api?lang=en"}, {"ext": "vtt", "url": "https://y.t/api?lang=en"}],
    "en": [{"ext": "vtt", "url": "https://y.t/api?lang=en"}],
    "de": [{"ext": "json3", "url": "https://y.t/api?lang=en&tlang=de"}],
}


def test_manual_subtitles_are_preferred_to_automatic_ones() -> None:
    manual = {"en-GB": [{"ext": "json3"}, {"ext": "vtt"}], "live_chat": [{"ext": "json"}]}
    chosen = choose_subtitles(manual, YOUTUBE_CAPTIONS, ["en"])
    assert chosen == {"en-GB": ("manual", {"ext": "vtt"})}


def test_automatic_captions_are_chosen_once_and_with_word_times() -> None:
    chosen = choose_subtitles({}, YOUTUBE_CAPTIONS, ["en", "de"])
    assert {language: (kind, entry["ext"]) for language, (kind, entry) in chosen.items()} == {
        "en-orig": ("auto", "json3")
    }


def test_without_wanted_languages_all_readable_subtitles_are_chosen_if_the_spoken_language_is_unknown() -> None:
    manual = {"fr": [{"ext": "srt"}], "de": [{"ext": "vtt"}], "es": [{"ext": "ass"}]}
    assert set(choose_subtitles(manual, {}, [])) == {"fr", "de"}


def test_translations_by_people_are_left_out_where_the_spoken_language_is_known() -> None:
    manual = {"ar": [{"ext": "vtt"}], "en": [{"ext": "vtt"}], "de": [{"ext": "vtt"}]}
    assert set(choose_subtitles(manual, YOUTUBE_CAPTIONS, [])) == {"en"}
    assert set(choose_subtitles(manual, {}, [], "de-DE")) == {"de"}
    assert set(choose_subtitles(manual, {"de": [{"ext": "vtt", "url": "https://y.t/?lang=de"}]}, ["en"])) == {"de"}


def test_recognition_in_the_spoken_language_is_taken_where_people_wrote_only_translations() -> None:
    manual = {"ar": [{"ext": "vtt"}], "fr": [{"ext": "vtt"}]}
    assert set(choose_subtitles(manual, YOUTUBE_CAPTIONS, ["en"])) == {"en-orig"}
    assert choose_subtitles(manual, {}, ["fr"], "en") == {}


def test_the_spoken_language_is_that_of_the_original_sound() -> None:
    dub = {"language": "en", "language_preference": -1}
    original = {"language": "es-419", "language_preference": 10}
    assert stated_language({"language": "en", "formats": [dub, original, {"language": None}]}) == "es-419"
    assert stated_language({"language": "en"}) == "en"
    assert stated_language({"language": "../x", "formats": None}) is None


def test_a_language_that_is_a_path_becomes_unknown() -> None:
    assert set(choose_subtitles({"../../x": [{"ext": "vtt"}]}, {}, [])) == {"und"}
