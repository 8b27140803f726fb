"""The registered judges, and the settings that name those that are asked."""

from __future__ import annotations

import pickle

import pytest

from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import JUDGE_KINDS, GroundSettings, build_cascade
from runtime.errors import UserError
from runtime.settings import build, content_hash


def test_every_judge_has_a_branch_of_settings_with_a_threshold() -> None:
    settings = GroundSettings()
    assert [getattr(settings, kind.name).threshold is not None for kind in JUDGE_KINDS] == [True] * len(JUDGE_KINDS)


def test_all_judges_must_agree_but_those_that_stand_for_another() -> None:
    assert GroundSettings().required() == ("text",)
    assert GroundSettings(judges=("words",)).required() == ("words",)
    assert GroundSettings(judges=("text", "words"), require=("text",)).required() == ("text",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"judges": ["txt"]}, "'txt' is no judge .did you mean 'text'"),
        ({"judges": []}, "name at least one judge"),
        ({"judges": ["text", "text"]}, "each once"),
        ({"judges": ["words"], "require": ["text"]}, "'text' is not among judges"),
        ({"text": {"threshold": 1.5}}, r"ground\.text\.threshold=1\.5"),
        ({"min_coverage": 0.9}, r"ground\.min_coverage: no such setting"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(GroundSettings, values, "ground")


def test_only_the_settings_of_judges_that_are_asked_are_part_of_the_content() -> None:
    words = GroundSettings(judges=("words",))
    changed = GroundSettings.model_validate({"judges": ["words"], "text": {"threshold": 0.9}})
    assert content_hash(words.content()) == content_hash(changed.content())
    assert GroundSettings.model_validate({"text": {"threshold": 0.9}}).content() != GroundSettings().content()


def test_a_prompt_is_known_by_its_text_and_an_engine_by_its_model() -> None:
    content = GroundSettings().content()["text"]
    assert "prompt" not in content
    assert "engine" not in content
    assert len(content["text"]) == 16


def test_settings_can_be_sent_to_another_process_and_build_judges_there() -> None:
    settings = pickle.loads(pickle.dumps(GroundSettings.model_validate({"text": {"threshold": 0.7}})))
    assert settings.text.threshold == 0.7
    build_cascade(settings, JudgeResources())
