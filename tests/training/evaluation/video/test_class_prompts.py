"""Prompt templates of classes."""

from __future__ import annotations

from training.evaluation.video.class_prompts import KINETICS, UCF101, fill, templates_of


def test_kinetics_has_the_28_templates_of_the_published_list_in_its_order() -> None:
    assert len(set(KINETICS)) == 28
    assert KINETICS[:2] == ("a photo of {}.", "a photo of a person {}.")
    assert KINETICS[13:15] == ("a video of a person practicing {}.", "a example of {}.")
    assert templates_of("kinetics400") == KINETICS
    assert len(set(UCF101)) == 48 and templates_of("ucf101") == UCF101
    assert UCF101[3:5] == ("a demonstration of a person {}.", "a photo of the person {}.")
    assert templates_of("ssv2") == ("a video of {}.",)


def test_braces_in_a_class_name_are_kept() -> None:
    assert fill("folding {paper}", ("a video of {}.",)) == ["a video of folding {paper}."]
