"""The registered judges and the settings that are composed of theirs."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections import Counter

from support.answering import Answering
from support.judging import EVIDENCE

from curation.grounding.claims import Claim, cite
from curation.grounding.judge import JudgeResources
from curation.grounding.judge_registry import JUDGE_KINDS, GroundSettings, build_judges
from curation.grounding.second_opinion import SecondOpinion
from curation.grounding.verifier import verify
from curation.grounding.word_matcher import WordMatcher
from curation.prompts import prompt_templates
from runtime.settings import content_hash


def resources(model: Answering | None = None) -> JudgeResources:
    prompt = prompt_templates.load("second_opinion", ("evidence", "claim"))
    service = model.service if model else None
    return JudgeResources(service, {"opinion": prompt})


def test_only_the_word_matcher_is_on_by_default() -> None:
    assert [type(judge) for judge in build_judges(GroundSettings(), resources())] == [WordMatcher]


def test_the_second_opinion_comes_after_the_word_matcher() -> None:
    judges = build_judges(GroundSettings(second_opinion=True), resources())
    assert [type(judge) for judge in judges] == [WordMatcher, SecondOpinion]


def test_the_model_is_shown_the_cited_evidence_in_the_order_of_its_labels() -> None:
    model = Answering(lambda request: json.dumps({"supported": True}))
    cited = {"clip": cite([Claim("dogs and onions", ("W1", "F2", "F1"))], EVIDENCE)}
    asyncio.run(verify(cited, [SecondOpinion(resources(model))], Counter()))
    (request,) = model.requests
    labels = [label for label in ("F1", "F2", "F3", "W1") if f"\n{label} (" in request.user]
    assert labels == ["F1", "F2", "W1"]
    assert request.user.index("\nF1 (") < request.user.index("\nF2 (") < request.user.index("\nW1 (")


def test_a_second_opinion_that_does_not_agree_takes_the_claim_away() -> None:
    model = Answering(lambda request: json.dumps({"supported": "dogs" in request.user.split("<claim>")[1]}))
    cited = {"clip": cite([Claim("dogs", ("F2",)), Claim("onions", ("F1",))], EVIDENCE)}
    verdicts = asyncio.run(verify(cited, [SecondOpinion(resources(model))], Counter()))["clip"]
    assert [(verdict.verdict, verdict.reason) for verdict in verdicts] == [
        ("supported", ""),
        ("unsupported", "opinion"),
    ]


def test_the_settings_of_all_judges_are_set_in_one_place_in_the_order_of_the_judges() -> None:
    fields = [name for kind in JUDGE_KINDS for name in kind.settings.model_fields]
    assert list(GroundSettings.model_fields) == fields
    assert len(set(fields)) == len(fields)


def test_the_content_hash_is_that_of_layers_made_before() -> None:
    assert content_hash(GroundSettings().content()) == "543a83c6bd5064bd"


def test_settings_can_be_sent_to_another_process() -> None:
    settings = GroundSettings(spoken_words=1)
    assert pickle.loads(pickle.dumps(settings)) == settings
