"""The prompts of `bench.rewrite --judged`: both sides get the same, and ours answers all of them."""

from __future__ import annotations

import asyncio

from support.answering import Answering, claims_json

from bench.judged_prompts import rewritten_and_judged, workload
from curation.engines.engine_interface import Answer, Request
from curation.pipeline import load_pipeline
from curation.text.rewrite_settings import RewriteSettings

SETTINGS = load_pipeline("demo", None, ["rewrite.ground.judges=[text]"]).branch(RewriteSettings)


def reply(request: Request) -> str | Answer:
    return Answer("", probabilities=(0.9, 0.1)) if request.options else claims_json(("A man.", ["F1"]))


def test_a_run_has_a_rewrite_and_three_judgements_a_clip_and_another_run_has_other_prompts() -> None:
    one, same, other = workload(0, 4, SETTINGS), workload(0, 4, SETTINGS), workload(1, 4, SETTINGS)
    assert len(one.rewrites) == 4 and len(one.judgements) == 12
    assert one.rewrites == same.rewrites
    assert {each.user for each in one.judgements} == {each.user for each in same.judgements}
    assert not {each.user for each in one.judgements} & {each.user for each in other.judgements}
    assert all(each.options and each.examples for each in one.judgements)
    assert all(each.schema for each in one.rewrites.values())


def test_our_side_sends_the_same_prompts_and_counts_what_was_answered() -> None:
    work, model = workload(0, 6, SETTINGS), Answering(reply)
    counts = asyncio.run(rewritten_and_judged(work, SETTINGS, model.service))
    sent = sorted(request.user for request in model.requests)
    assert sent == sorted(each.user for each in (*work.rewrites.values(), *work.judgements))
    assert counts["answered"] == 6 * 4
