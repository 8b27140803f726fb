"""Text of unknown encoding is decoded."""

from pathlib import Path

import pytest
from support.subtitle_texts import vtt

from curation.media.speech.subtitle_reading import parse_subtitles, read_track
from curation.media.subtitles.subtitle_tracks import Track
from curation.media.subtitles.text_encoding import decode_text

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
def test_text_is_read_in_its_encoding(text: str, encoding: str) -> None:
    assert decode_text(text.encode(encoding)) == text


LANGUAGES = {
    "tr": ("Şimdi gidiyoruz. Çok güzel bir gün, değil mi? İyi akşamlar.", ["cp1254", "iso8859-9", "cp857"]),
    "hu": ("Jó reggelt! Hová menjünk? Őrült ötlet, de tűz van.", ["cp1250", "iso8859-2", "cp852"]),
    "lt": ("Ačiū, viskas gerai. Žiūrėkite, čia gražu šįvakar.", ["cp1257", "iso8859-13"]),
    "lv": ("Labrīt! Kā jūs jūtaties šodien, draugs? Ļoti labi.", ["cp1257"]),
    "et": ("Täna õhtul sõidame külla. Žürii šokk.", ["cp1257", "iso8859-15"]),
    "pl": ("Dzień dobry, źle się czuję. Idź już, proszę.", ["cp1250", "iso8859-2", "cp852"]),
    "cs": ("Příliš žluťoučký kůň úpěl ďábelské ódy.", ["cp1250", "iso8859-2"]),
    "hr": ("Što će biti sutra? Žao mi je, đače.", ["cp1250", "iso8859-2"]),
    "fr": ("Où êtes-vous né, garçon ? À l’été.", ["cp1252", "mac_roman"]),
    "de": ("Größe überprüfen: schöne Füße.", ["cp1252", "cp850", "mac_roman"]),
    "en": ("It’s a naïve café — isn’t it?", ["cp1252"]),
    "ru": ("Привет, как дела? Это проверка старых субтитров.", ["cp1251", "koi8-r", "cp866"]),
    "uk": ("Привіт, як справи? Її їжак їсть.", ["cp1251", "koi8-u"]),
    "el": ("Καλημέρα, τι κάνεις; Όλα καλά.", ["cp1253", "iso8859-7"]),
    "he": ("שלום, מה שלומך היום?", ["cp1255"]),
    "ja": ("これは字幕の試験です。今日は良い天気ですね。", ["cp932", "euc_jp"]),
    "zh": ("這是一個測試字幕檔案，用來檢查編碼。", ["big5", "gb18030"]),
}


@pytest.mark.parametrize(("language", "encoding"), [(k, page) for k, (_, pages) in LANGUAGES.items() for page in pages])
def test_the_language_tells_the_code_page(language: str, encoding: str) -> None:
    text = f"1\n00:00:01,000 --> 00:00:02,000\n{LANGUAGES[language][0]}\n"
    assert decode_text(text.encode(encoding), language) == text


@pytest.mark.parametrize("language", ["ro", "tr"])
def test_published_files_are_read_in_their_language(shared_fixtures: Path, language: str) -> None:
    folder = shared_fixtures / "faults/16-central-european-srt"
    words = read_track(Track(folder / f"talk.{language}.srt", language, "manual", "srt"), 100.0).words
    expected = (folder / f"talk.{language}.txt").read_text(encoding="utf-8")
    assert " ".join(word.text for word in words) == " ".join(expected.split())


def test_the_header_of_webvtt_tells_the_code_page() -> None:
    text = vtt(("00:01.000 --> 00:02.000", LANGUAGES["tr"][0]), header="WEBVTT\nKind: captions\nLanguage: tr")
    assert parse_subtitles(text.encode("cp1254"), "vtt").words[0].text == LANGUAGES["tr"][0]


def test_a_wrong_language_does_not_spoil_text() -> None:
    assert decode_text(RUSSIAN.encode("cp1251"), "en") == RUSSIAN
    assert decode_text(ACCENTS.encode("cp1252"), "ru") == ACCENTS
