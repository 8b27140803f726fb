"""The language that an answer is surely not in, and that of a prompt."""

from __future__ import annotations

import pytest

from curation.prompts import prompt_templates
from curation.prompts.text_language import is_foreign, language_of


@pytest.mark.parametrize(
    "text",
    [
        "En kvinna skär en citron med en kniv.",
        "Seorang wanita memotong lemon dengan pisau.",
        "Женщина режет лимон.",
        "猫",
        "女性がナイフでレモンを切る。",
        "امرأة تقطع ليمونة",
    ],
)
def test_a_text_in_another_language_is_foreign(text: str) -> None:
    assert is_foreign(text, "en")
    assert not is_foreign(text, None)


@pytest.mark.parametrize(
    "text",
    [
        "umbrellas come into view",
        "The men perform Tai Chi slowly.",
        "skier passes orange post",
        'A sign reads "Willkommen in der Altstadt" above a door of a small shop.',
        "Tür auf",  # too short for a language
        "0208fb20fae5cfea_000000500_000006000 opens.",
        "IMG_20200229.mp4",
        "",
    ],
)
def test_odd_english_and_what_is_of_no_language_is_not(text: str) -> None:
    assert not is_foreign(text, "en")


def test_a_prompt_is_in_the_language_of_its_words() -> None:
    assert {prompt_templates.load(name).language for name in ("caption",)} == {"en"}
    assert language_of("Beschreibe dieses Bild in einem oder zwei einfachen Sätzen.") == "de"
    assert language_of("a photo of") is None
