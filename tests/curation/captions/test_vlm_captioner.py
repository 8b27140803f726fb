"""Captions: what is asked of a vision-language model, and what is kept of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.answering import Answering

from curation.captions.frame_captions import FrameCaption, join_captions
from curation.captions.frames.caption_wording import clean_caption
from curation.captions.frames.image_tagger import TaggerSettings
from curation.captions.frames.vlm_captioner import VlmCaptioner
from curation.captions.observer_registry import CaptionSettings
from curation.engines.engine_interface import Answer, CaptionResult, ImageRef, Request
from runtime.ray_runner.stage import LocalService

SETTINGS = CaptionSettings(engine="vlm", max_tokens=40)
IMAGES = {f"k{i}": ImageRef("keyframes/0.tar", 512 * i, 100) for i in range(3)}


def captioned(model: Answering, settings: CaptionSettings = SETTINGS) -> dict[str, CaptionResult]:
    return asyncio.run(VlmCaptioner(model.service, settings).caption(IMAGES))


def test_each_keyframe_is_one_request_and_answers_are_matched_by_key() -> None:
    model = Answering(lambda request: f"picture {request.images[0].offset}")
    seen = captioned(model)
    assert {key: each.caption for key, each in seen.items()} == {
        "k0": "picture 0",
        "k1": "picture 512",
        "k2": "picture 1024",
    }
    assert [request.images for request in model.requests] == [(image,) for image in IMAGES.values()]
    assert {request.max_tokens for request in model.requests} == {40}


def test_the_prompt_is_the_one_that_the_settings_name() -> None:
    model = Answering(lambda request: "a dog")
    captioned(model, CaptionSettings(engine="vlm", prompt="caption_photo_of"))
    assert {(request.system, request.user) for request in model.requests} == {("", "a photo of")}


@pytest.mark.parametrize("text", ["一位女士用刀切柠檬。", "Eine Frau schneidet eine Zitrone mit einem Messer."])
def test_a_caption_in_another_language_than_the_prompt_is_none(text: str) -> None:
    seen = captioned(Answering(lambda request: text if request.key == "k1" else "A woman cuts a lemon with a knife."))
    assert (seen["k1"].caption, seen["k1"].error) == (None, "language")
    assert (seen["k0"].caption, seen["k0"].error) == ("A woman cuts a lemon with a knife.", None)


def test_a_prompt_that_is_too_short_to_be_of_a_language_allows_any() -> None:
    german = "Eine Frau schneidet eine Zitrone mit einem Messer."
    seen = captioned(Answering(lambda request: german), CaptionSettings(engine="vlm", prompt="caption_photo_of"))
    assert seen["k0"].caption == german


def test_a_failed_request_leaves_no_caption_and_says_why() -> None:
    model = Answering(lambda request: Answer("", error="timeout") if request.key == "k1" else "a dog")
    seen = captioned(model)
    assert (seen["k1"].caption, seen["k1"].error) == (None, "timeout")
    assert (seen["k0"].caption, seen["k0"].error) == ("a dog", None)


def test_a_caption_that_ran_into_the_token_limit_is_kept() -> None:
    seen = captioned(Answering(lambda request: Answer("", "a dog on a", "length", 3, 4)))
    assert (seen["k0"].caption, seen["k0"].error, seen["k0"].tokens) == ("a dog on a…", None, 4)


def test_a_cut_caption_ends_at_its_last_whole_sentence() -> None:
    text = "A dog runs over a meadow. Dr. Who stands beside it at 3.5 m. A man in a"
    seen = captioned(Answering(lambda request: Answer("", text, ended_at_limit=True)))["k0"]
    assert (seen.caption, seen.is_cut) == ("A dog runs over a meadow. Dr. Who stands beside it at 3.5 m.", True)


def test_a_cut_caption_without_a_whole_sentence_gets_no_full_stop() -> None:
    text = "a dog with a red collar, a man in a"
    (seen, *_) = captioned(Answering(lambda request: Answer("", text, ended_at_limit=True))).values()
    assert seen.caption == "a dog with a red collar…"
    assert join_captions([FrameCaption(0.0, seen.caption), FrameCaption(1.0, "a cat")]) == f"{seen.caption} a cat."


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("I'm sorry, but I can't assist with that request.", "refusal"),
        ("N/A", "empty"),
        ("<think> The user wants", "empty"),
        ("a man in a red shirt in a red shirt in a red shirt in a red shirt", "loop"),
    ],
)
def test_an_answer_that_is_no_caption_is_a_failure_that_says_why(text: str, error: str) -> None:
    seen = captioned(Answering(lambda request: text))["k0"]
    assert (seen.caption, seen.error) == (None, error)


@pytest.mark.parametrize("text", ["", " \n ", "\x00\u202e", '""'])
def test_an_answer_without_words_is_a_failure(text: str) -> None:
    assert captioned(Answering(lambda request: text))["k0"].error == "empty"


def test_an_engine_that_forgets_a_key_costs_that_caption_only() -> None:
    class Forgetful(Answering):
        async def generate(self, requests: Sequence[Request]) -> dict[str, Answer]:
            answers = await super().generate(requests)
            return {key: answer for key, answer in answers.items() if key != "k2"}

    seen = asyncio.run(VlmCaptioner(LocalService(Forgetful(lambda request: "x")), SETTINGS).caption(IMAGES))
    assert seen.keys() == IMAGES.keys()
    assert (seen["k2"].caption, seen["k2"].error) == (None, "no answer")


def test_no_keyframes_are_no_request() -> None:
    model = Answering(lambda request: "x")
    assert asyncio.run(VlmCaptioner(model.service, SETTINGS).caption({})) == {}
    assert model.batches == []


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ('  Caption: "A dog\n on   grass." ', "A dog on grass."),
        ("a caption: on a wall", "a caption: on a wall"),
        ("<think> The user wants ... </think> A dog runs over a meadow.", "A dog runs over a meadow."),
        ("**Caption:** A dog runs.", "A dog runs."),
        ("# Caption\nA **dog** runs.", "A dog runs."),
        ("Sure! Here is a caption: A dog runs.<|im_end|>", "A dog runs."),
        ('```json\n{"caption": "A dog runs."}\n```', "A dog runs."),
        ("描述：一只狗在跑。", "一只狗在跑。"),
        ("Here is a dog: it barks.", "Here is a dog: it barks."),
        ("one two three four", "one two…"),
        ("bad\ud800half", "badhalf"),
    ],
)
def test_captions_are_tidied(raw: str, clean: str) -> None:
    assert clean_caption(raw, 9 if raw.startswith("one") else 100) == clean


@settings(deadline=None)
@given(st.text(), st.integers(1, 50))
def test_a_caption_is_one_line_within_the_limit_or_none(text: str, limit: int) -> None:
    caption = clean_caption(text, limit)
    assert caption is None or (caption.strip() and len(caption) <= limit and len(caption.splitlines()) == 1)


def test_the_hash_of_a_vlm_covers_the_prompt_and_not_the_tagger() -> None:
    one = CaptionSettings(engine="a").content()
    assert one == CaptionSettings(engine="b", tagger=TaggerSettings(top=1)).content()
    assert one != CaptionSettings(engine="a", prompt="caption_empty").content()
    assert "tagger" in CaptionSettings().content()
