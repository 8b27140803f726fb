"""What a model says in its answer: thoughts and template tokens are no part of it, and drafts are not the answer."""

from __future__ import annotations

import json
from time import perf_counter

import pytest

from curation.prompts.model_answers import spoken_answer
from curation.prompts.model_json import answer_object

GOOD = '{"claims": ["yes"]}'
DRAFT = '{"claims": []}'


@pytest.mark.parametrize(
    "text",
    [
        "<think> The user wants ... </think> A dog runs.",
        "The user wants ... </think> A dog runs.",
        "<THINKING>\nA cat?\n</THINKING>\nA dog runs.",
        "<seed:think>A cat?</seed:think>A dog runs.",
        "[THINK]A cat?[/THINK]A dog runs.",
        "◁think▷A cat?◁/think▷A dog runs.",
        "<think>one <think>two</think> three</think>A dog runs.",
        "<think>one</think><think>two</think>A dog runs.",
        "<|channel|>analysis<|message|>A cat?<|end|><|start|>assistant<|channel|>final<|message|>A dog runs.<|return|>",
        "A dog runs.<|im_end|>",
        "<|im_start|>assistant\nA dog runs.<|im_end|>\n<|im_start|>user\nAnd now?",
        "<|start_header_id|>assistant<|end_header_id|>\n\nA dog runs.<|eot_id|>",
        "<start_of_turn>model\nA dog runs.<end_of_turn>",
        "<s> A dog runs.</s>",
        "<|begin_of_box|>A dog runs.<|end_of_box|>",
        "<think>A cat?</think><answer>A dog runs.</answer>",
    ],
)
def test_thoughts_and_template_tokens_are_removed(text: str) -> None:
    assert spoken_answer(text) == "A dog runs."


@pytest.mark.parametrize(
    "text",
    ["<think> A dog", "<think>a</think><think>A dog", "<|channel|>analysis<|message|>A dog", "<|im_end|>", ""],
)
def test_an_answer_that_ends_within_its_thoughts_says_nothing(text: str) -> None:
    assert spoken_answer(text) == ""


@pytest.mark.parametrize("text", ["1 < 2 and 3 > 2", "A sign: <b>open</b>", "I think so", "a [red] door"])
def test_other_brackets_and_words_are_text(text: str) -> None:
    assert spoken_answer(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f"<think> maybe {DRAFT} ... </think>{GOOD}",
        f"maybe {DRAFT} ... </think>{GOOD}",
        f"<think>the set {{a, b}} or {{</think>{GOOD}",
        f"First draft: {DRAFT}\nFinal: {GOOD}",
        f"Of the form {{...}}:\n```json\n{GOOD}\n```\nI hope that helps {{:}}",
        f'{GOOD} {{"note": 1}}',
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{GOOD}",
    ],
)
def test_the_last_object_of_the_right_form_is_the_answer(text: str) -> None:
    assert answer_object(text, lambda found: "claims" in found) == json.loads(GOOD)


def test_tags_inside_the_strings_of_an_object_are_text() -> None:
    answer = {"claims": ["a sign says </think> here"]}
    assert answer_object(json.dumps(answer), lambda found: "claims" in found) == answer


@pytest.mark.parametrize("text", [f"<think>{GOOD}", "{", "[1]", "{" * 5000, '{"a":' * 5000, '{"a":1,' * 20000])
def test_an_answer_without_such_an_object_is_none_in_a_short_time(text: str) -> None:
    start = perf_counter()
    assert answer_object(text, lambda found: "claims" in found, is_cut=True) is None
    assert perf_counter() - start < 5
