"""The rewriter: the requests it makes, and that no answer of a model breaks its rules."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.answering import Answering, asks_for_claims, claims_json, labels_in
from support.judging import is_made_of
from support.rewriting import WITH_LLM, clip, repeat_input, rewrite

from curation.engines.engine_interface import Answer, Request
from curation.grounding.judge_registry import GroundSettings
from curation.text.claim_proposals import parse_proposal, proposal_schema
from curation.text.rewrite_settings import RewriteSettings
from curation.text.summaries import clean_summary
from runtime.errors import MachineError, UserError
from runtime.settings import build

# Requests


def test_all_of_a_shard_goes_to_the_engine_in_one_call_and_its_claims_in_another() -> None:
    model = Answering(repeat_input)
    results, counts = rewrite(model, [clip("a"), clip("b", subtitle="we boil eggs", captions=("a pot",))])
    asked, judged = model.batches
    assert [request.key for request in asked] == [
        f"{key}/{what}" for key in "ab" for what in ("subtitle_summary", "caption_summary", "grounded")
    ]
    assert [request.key for request in judged] == ["0"]  # the claim of the other clip repeats its caption
    assert [result.subtitle_summary for result in results] == ["now we chop the onions", "we boil eggs"]
    assert counts["requests"] == 7
    assert counts["tokens_in"] > counts["tokens"] > 0


def test_identical_prompts_are_sent_once_and_answered_for_all() -> None:
    model = Answering(repeat_input)
    results, counts = rewrite(model, [clip("root"), clip("child"), clip("other")])
    assert len(model.requests) == 3
    assert (counts["requests"], counts["requests_shared"]) == (3, 6)
    assert {result.grounded.text for result in results} == {"A man chops onions."}


def test_empty_texts_make_no_request_and_stay_null() -> None:
    model = Answering(repeat_input)
    (result,), _ = rewrite(model, [clip(subtitle="", captions=())])
    assert model.batches == []
    assert (result.caption, result.subtitle_summary, result.caption_summary) == (None, None, None)
    assert (result.grounded.status, result.grounded.text) == ("abstained", None)


@pytest.mark.parametrize("blank", [" ", "\r\n", "\x00\u200e"])
def test_a_subtitle_without_a_visible_character_is_no_subtitle(blank: str) -> None:
    model = Answering(repeat_input)
    (result,), _ = rewrite(model, [clip(subtitle=blank, captions=())])
    assert model.batches == []
    assert result.subtitle_summary is None


def test_levels_that_are_not_summarized_keep_their_texts() -> None:
    model = Answering(repeat_input)
    how = RewriteSettings(engine="llm", summarize_levels=("medium", "long"), grounded=False)
    (result,), _ = rewrite(model, [clip(level="short")], how)
    assert model.batches == []
    assert (result.subtitle_summary, result.caption_summary) == ("now we chop the onions", "a man chops onions.")
    assert (result.grounded.status, result.grounded.text) == ("fallback", "a man chops onions.")


def test_short_texts_may_be_their_own_summary() -> None:
    model = Answering(repeat_input)
    how = RewriteSettings(engine="llm", summarize_over_words=4, grounded=False)
    (result,), _ = rewrite(model, [clip()], how)
    assert [request.key for request in model.requests] == ["c0/subtitle_summary"]
    assert result.caption_summary == "a man chops onions."


def test_long_inputs_lose_their_middle_and_are_counted() -> None:
    model = Answering(repeat_input)
    subtitle = " ".join(f"word{i}" for i in range(500))
    _, counts = rewrite(model, [clip(subtitle=subtitle)], RewriteSettings(engine="llm", input_chars=300))
    assert counts["inputs_truncated"] == 2
    shown = model.requests[0].user
    assert "word0" in shown and "word499" in shown and "word250" not in shown
    assert all(len(request.user) < 700 for request in model.requests)


def test_without_an_engine_captions_stand_for_the_grounded_text() -> None:
    (result,), _ = rewrite(None, [clip()], RewriteSettings())
    assert (result.subtitle_summary, result.grounded.status) == (None, "fallback")


def test_grounded_text_is_asked_for_with_a_schema_that_bounds_it() -> None:
    model = Answering(repeat_input)
    rewrite(model, [clip()])
    (request,) = filter(asks_for_claims, model.requests)
    assert request.schema == proposal_schema(WITH_LLM.max_claims, WITH_LLM.claim_chars)
    assert labels_in(request) == ["F1", "W1"]


# Any answer

VOCABULARY = st.lists(
    st.sampled_from(["a", "man", "dragon", "Paris", "chops", "onions", "3", "no", "F1", "W1"]), max_size=8
)
TEXTS = VOCABULARY.map(" ".join) | st.text(max_size=40)
GARBAGE = (
    st.text(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["claims", "text", "evidence", "abstain", "supported"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ).map(json.dumps)
    | st.lists(st.tuples(TEXTS, st.lists(st.sampled_from(["F1", "F2", "W1", "X"]), max_size=3)), max_size=4).map(
        lambda claims: claims_json(*claims)
    )
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(GARBAGE, min_size=6, max_size=6), st.integers(0, 120), TEXTS, st.lists(TEXTS, max_size=3), st.booleans()
)
def test_whatever_a_model_answers_the_rules_hold(
    replies: list[str], cut: int, subtitle: str, captions: Sequence[str], model_judges: bool
) -> None:
    queue = iter([replies[0][: max(cut, 1)], *replies[1:]] * 4)
    how = RewriteSettings(engine="llm", ground=GroundSettings(judges=("words", "text") if model_judges else ("words",)))
    source = clip(subtitle=subtitle, captions=tuple(captions))
    (result,), counts = rewrite(Answering(lambda request: next(queue)), [source], how)
    kept = [verdict for verdict in result.grounded.verdicts if verdict.verdict == "supported"]
    frames = {f"frame@{frame.time:.1f}" for frame in source.frames if frame.text}
    if result.grounded.text is not None:
        assert is_made_of(result.grounded.text, [verdict.text for verdict in kept])  # repeats are merged
        assert result.grounded.status in ("ok", "fallback")
        assert all(frames & set(verdict.evidence) for verdict in kept)
    assert (result.grounded.score is not None) == (result.grounded.status == "ok")
    assert sum(counts[f"status:{status}"] for status in ("ok", "abstained", "fallback", "failed")) == 1
    for summary in (result.subtitle_summary, result.caption_summary):
        assert summary is None or 0 < len(summary.split()) <= how.summary_words
    json.dumps([result.subtitle_summary, result.grounded.text]).encode()


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_can_be_read_as_an_answer(text: str) -> None:
    parse_proposal(text, 3, 40)
    clean_summary(text)


# Settings and the machine


def test_a_dead_engine_ends_the_rewrite() -> None:
    class Dead(Answering):
        async def generate(self, requests: Sequence[Request]) -> dict[str, Answer]:
            raise MachineError("the engine is gone")

    with pytest.raises(MachineError):
        rewrite(Dead(repeat_input), [clip()])


def test_texts_that_would_be_too_long_a_summary_are_refused_in_the_settings() -> None:
    with pytest.raises(UserError, match="summarize_over_words=30 is above summary_words=25"):
        build(RewriteSettings, {"summarize_over_words": 30}, "rewrite")


def test_the_hash_follows_the_prompts_and_not_the_engine_s_name() -> None:
    one = RewriteSettings(engine="a").content()
    assert one == RewriteSettings(engine="b").content()
    assert one != RewriteSettings(engine="a", summary_prompt="summary_vidla").content()
    assert one != RewriteSettings(engine="a", ground=GroundSettings(judges=("words",))).content()
