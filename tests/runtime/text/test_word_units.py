"""Words of any script: counted, cut and joined as the script does."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.prompts.wording import in_sentences
from runtime.text.word_units import SQL_WORD, are_two_words, count_words, join_pieces, trim_words

CHINESE = "今天天气很好我们一起去公园散步吧" * 15  # 240 characters
THAI = "วันนี้อากาศดีมากเราไปเดินเล่นที่สวนสาธารณะกัน" * 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("we chop the onions", 4),
        ("안녕 하세요 여러분", 3),
        ("今日はとてもいい天気です", 6),
        (CHINESE, 120),
        ("我在2024年买了iPhone。", 5),
        ("ラーメン", 2),
        ("dogs - and cats", 4),
        ("👍🏽 ok", 2),
    ],
)
def test_words_are_counted_as_their_script_divides_them(text: str, words: int) -> None:
    assert count_words(text) == words


def test_scripts_of_south_east_asia_are_many_words() -> None:
    assert 40 <= count_words(THAI) <= 80
    assert count_words("ສະບາຍດີຂ້ອຍຊື່ວ່າສົມ") > 2
    assert count_words("ខ្ញុំចូលចិត្តញ៉ាំបាយ") > 2


@pytest.mark.parametrize("text", [CHINESE, THAI, "今日はとてもいい天気です。" * 20, "我用 iPhone 拍照，" * 30])
def test_a_text_without_spaces_is_cut_to_its_words(text: str) -> None:
    cut = trim_words(text, 25)
    assert text.startswith(cut)
    assert 20 <= count_words(cut) <= 25
    assert len(cut) < 130


def test_a_cut_never_parts_a_letter_from_its_marks() -> None:
    for words in range(1, 20):
        rest = THAI[len(trim_words(THAI, words)) :]
        assert rest[0] not in "\u0e31\u0e34\u0e35\u0e36\u0e37\u0e38\u0e39\u0e47\u0e48\u0e49\u0e4a\u0e4b\u0e4c\u0e33"


@settings(deadline=None)
@given(st.text(st.sampled_from("ab, 漢かカーก่ง。-")), st.integers(1, 9))
def test_a_cut_text_has_no_more_words_than_asked_for(text: str, limit: int) -> None:
    assert count_words(trim_words(text, limit)) <= limit


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (["今日", "は", "とても", "いい", "天気", "です"], "今日はとてもいい天気です"),
        (["你好", "，", "世界", "。", "再见"], "你好，世界。再见"),
        (["วัน", "นี้", "อากาศ", "ดี"], "วันนี้อากาศดี"),
        (["2024", "年", "に", "iPhone", "を", "買った"], "2024年にiPhoneを買った"),
        (["the", "word", "猫", "means", "cat"], "the word 猫 means cat"),
        (["안녕", "하세요"], "안녕 하세요"),
        (["we", "", "chop"], "we chop"),
        ([], ""),
    ],
)
def test_pieces_are_joined_as_their_script_does(pieces: list[str], joined: str) -> None:
    assert join_pieces(pieces) == joined


@pytest.mark.parametrize(
    ("before", "text", "two"),
    [
        ("o", "'clock", False),
        ("안녕", "하세요", False),
        ("10", "%", False),
        ("วัน", "นี้", True),
        ("ខ្ញុំ", "ចូល", True),
        ("iPhone", "を", True),
        ("你好", "，", True),
        ("𠮷", "野", True),
        ("ㄅㄆ", "a", True),
    ],
)
def test_pieces_without_a_space_are_two_words_only_in_scripts_without_spaces(before: str, text: str, two: bool) -> None:
    assert are_two_words(before, text) == two


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["一只狗", "一只猫。"], "一只狗。一只猫。"),
        (["สุนัขวิ่ง", "แมวนอน"], "สุนัขวิ่ง แมวนอน"),
        (["एक कुत्ता।", "a dog"], "एक कुत्ता। a dog."),
        (["a dog on a…", "a cat"], "a dog on a… a cat."),
        (['It says "Go!"', "a cat"], 'It says "Go!" a cat.'),
    ],
)
def test_sentences_end_and_follow_as_their_script_does(texts: list[str], joined: str) -> None:
    assert in_sentences(texts) == joined


@pytest.mark.parametrize("text", ["we chop the onions, twice", CHINESE, THAI, "我在2024年买了iPhone。", "안녕 하세요"])
def test_the_database_counts_about_as_many_words(text: str) -> None:
    rows = duckdb.sql(f"select len(regexp_extract_all($text, '{SQL_WORD}'))", params={"text": text}).fetchall()
    assert rows[0][0] == pytest.approx(count_words(text), rel=0.25)
