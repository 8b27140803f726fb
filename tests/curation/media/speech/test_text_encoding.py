"""Text of unknown encoding is decoded."""

import pytest

from curation.media.speech.text_encoding import decode_text

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
