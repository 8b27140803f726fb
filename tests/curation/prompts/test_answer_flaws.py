"""Answers that are no description: refusals, words for nothing, and loops."""

from __future__ import annotations

import pytest

from curation.prompts.answer_flaws import flaw_of, sound_part


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, I cannot identify people.",
        "Sorry, but I can't see the picture.",
        "I apologize for the confusion.",
        "I am unable to describe this image.",
        "As an AI language model, I cannot see images.",
        "Unfortunately, I don't have access to the picture.",
        "No image was provided. Please upload one.",
        "Please provide the image.",
        "抱歉，我无法描述这张图片。",
        "申し訳ありませんが、お手伝いできません。",
        "죄송합니다. 도와드릴 수 없습니다.",
        "Lo siento, no puedo ayudar con eso.",
        "Je suis désolé, je ne peux pas décrire cette image.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Desculpe, não posso ajudar.",
        "К сожалению, я не могу помочь.",
    ],
)
def test_refusals_are_found_in_many_languages(text: str) -> None:
    assert flaw_of(text) == "refusal"


@pytest.mark.parametrize("text", ["", "None", "N/A", "null.", "(none)", '"Unknown"', "...", "?!", "无", "No caption"])
def test_words_for_nothing_are_empty(text: str) -> None:
    assert flaw_of(text) == "empty"


@pytest.mark.parametrize(
    "text",
    [
        "a man in a red shirt in a red shirt in a red shirt in a red shirt",
        "The image shows a dog. The image shows a dog. The image shows a dog.",
        "a dog, a dog, a dog, a dog, a",
        "狗在跑狗在跑狗在跑狗在跑",
        "สุนัขวิ่งสุนัขวิ่งสุนัขวิ่งสุนัขวิ่ง",
        "ha" * 40,
        " ".join(
            ["a red hat and a red tie and a red coat and a red bag and"] * 2 + ["a red hat and a red bag and"] * 4
        ),
    ],
)
def test_loops_are_found(text: str) -> None:
    assert flaw_of(text) == "loop"


@pytest.mark.parametrize(
    "text",
    [
        "A dog runs over a meadow.",
        "A man says I'm sorry to a woman.",
        "Sorry, we're closed, says a sign on a door.",
        '"I can\'t help falling in love" is written on a wall.',
        "No people can be seen on the beach.",
        "A very, very, very big dog.",
        "None of the people wears a hat.",
        "A man in a red shirt, a man in a blue shirt and a man in a green coat stand in a row.",
        "Nothing but sand.",
        "x",
    ],
)
def test_descriptions_have_no_flaw(text: str) -> None:
    assert flaw_of(text) is None


def test_what_is_said_to_the_reader_and_said_again_is_left_out() -> None:
    text = "A dog runs. It is wet. It is wet. I can't identify the owner. Let me know if you need more!"
    assert sound_part(text) == "A dog runs. It is wet."
