"""Decisions between words, read from the log-probabilities of a first token."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter

import pytest
from support.answering import Answering
from support.fake_llm import Body, FakeLLM, Reply
from support.waiting import PATIENCE

from curation.engines.chat_messages import chat
from curation.engines.decisions import TokenProbability, decide
from curation.engines.endpoint.openai_endpoint import EndpointEngine, EndpointSettings
from curation.engines.engine_interface import Answer, Exchange, Request
from curation.engines.shared_requests import ask
from runtime.ray_runner.stage import LocalService

YES_NO = ("yes", "no")


def tokens(**probabilities: float) -> list[TokenProbability]:
    return [TokenProbability(text, math.log(p)) for text, p in probabilities.items()]


def test_the_probabilities_of_the_options_add_up_to_one_whatever_else_could_be_said() -> None:
    assert decide(YES_NO, tokens(yes=0.3, no=0.1, The=0.6)) == pytest.approx((0.75, 0.25))


def test_tokens_of_the_same_word_are_added_up() -> None:
    found = decide(YES_NO, [*tokens(Yes=0.2, yes=0.1, NO=0.1), TokenProbability(" yes", math.log(0.1))])
    assert found == pytest.approx((0.8, 0.2))


def test_a_token_that_begins_only_one_option_counts_for_it() -> None:
    assert decide(YES_NO, tokens(y=0.3, n=0.3)) == pytest.approx((0.5, 0.5))
    assert decide(("supported", "suspect"), tokens(su=0.5, sup=0.3, sus=0.1)) == pytest.approx((0.75, 0.25))


def test_words_of_other_languages_are_options_too() -> None:
    assert decide(("是", "否"), tokens(是=0.6, 否=0.2)) == pytest.approx((0.75, 0.25))


@pytest.mark.parametrize(
    "said",
    [
        [],
        tokens(The=0.9, yes=0.01),
        [TokenProbability("<think>", 0.0)],
        [TokenProbability("yes", -math.inf)],
        [TokenProbability("yes", math.nan)],
        [TokenProbability("", 0.0)],
        [TokenProbability("yesterday", 0.0)],
    ],
)
def test_a_model_that_would_say_something_else_has_not_decided(said: list[TokenProbability]) -> None:
    assert decide(YES_NO, said) is None


def served(reply: Reply, *, options: tuple[str, ...] = YES_NO) -> tuple[Answer, Body]:
    with FakeLLM(lambda body: reply) as server:
        engine = EndpointEngine(EndpointSettings(base_url=server.url, model="fake", timeout=PATIENCE, retries=0))
        request = Request("k", "judge", "is it?", options=options, examples=(Exchange("was it?", "yes"),))
        try:
            return asyncio.run(engine.generate([request]))["k"], server.requests[0]
        finally:
            engine.close()


def test_an_endpoint_is_asked_for_one_token_with_its_alternatives() -> None:
    answer, body = served(
        Reply("Yes", first_tokens=(("Yes", math.log(0.9)), (" No", math.log(0.1))), finish_reason="length")
    )
    assert answer.error is None
    assert answer.probabilities == pytest.approx((0.9, 0.1))
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]


def test_a_model_that_begins_to_think_is_undecided_and_says_so() -> None:
    answer, _ = served(Reply("<think>", first_tokens=(("<think>", -0.01), ("yes", -9.0))))
    assert answer.error == "undecided: the answer would begin with '<think>'"
    assert not answer.is_usable


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {"content": []},
        {"content": [{"top_logprobs": 3}]},
        {"content": [{"top_logprobs": [{"token": "yes"}]}]},
        [["yes"]],
        "yes",
    ],
)
def test_a_server_without_log_probabilities_gives_one_garbage_answer(logprobs: object) -> None:
    choice = {"message": {"content": "yes"}, "logprobs": logprobs}
    answer, _ = served(Reply(raw=json.dumps({"choices": [choice]}).encode()))
    assert (answer.error or "").startswith("garbage: ")
    assert answer.probabilities == ()


def test_a_refusal_is_no_decision() -> None:
    answer, _ = served(Reply("", finish_reason="content_filter", first_tokens=(("yes", 0.0),)))
    assert (answer.error or "").startswith("refused: ")


def test_requests_that_differ_in_their_examples_or_options_are_not_one() -> None:
    model = Answering(lambda request: "text")
    requests = [
        Request("a", "", "u"),
        Request("b", "", "u", options=YES_NO),
        Request("c", "", "u", options=YES_NO, examples=(Exchange("q", "yes"),)),
        Request("d", "", "u", options=YES_NO, examples=(Exchange("q", "yes"),)),
    ]
    counts: Counter[str] = Counter()
    service: LocalService = model.service
    asyncio.run(ask(service, requests, counts))
    assert (counts["requests"], counts["requests_shared"]) == (3, 1)


def test_examples_come_between_the_system_text_and_the_question() -> None:
    request = Request("k", "system", "question", examples=(Exchange("first", "yes"), Exchange("second", "no")))
    said = [(message["role"], message["content"]) for message in chat(request, [])]
    assert said == [
        ("system", "system"),
        ("user", "first"),
        ("assistant", "yes"),
        ("user", "second"),
        ("assistant", "no"),
        ("user", "question"),
    ]
    assert chat(request, [], system_role=False)[0] == {"role": "user", "content": "system\n\nfirst"}
