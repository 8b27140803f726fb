"""The choice among the subtitles that a site offers."""

from curation.media.download.site_subtitles import choose_subtitles

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


def test_without_wanted_languages_all_untranslated_subtitles_are_chosen() -> None:
    manual = {"fr": [{"ext": "srt"}], "es": [{"ext": "ass"}]}
    assert set(choose_subtitles(manual, YOUTUBE_CAPTIONS, [])) == {"fr", "en-orig"}


def test_a_language_that_is_a_path_becomes_unknown() -> None:
    assert set(choose_subtitles({"../../x": [{"ext": "vtt"}]}, {}, [])) == {"und"}
