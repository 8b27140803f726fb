"""The variants start from one frame-wise model and differ in attention over time alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.learns.queries import TIMED, draw_pair
from bench.learns.things import THINGS
from bench.learns.training import OVER_TWIN, Budget, Seed, finetune, pretrain, to_input
from bench.learns.variants import VARIANTS, build_variant

TINY = replace(Budget(), still_steps=2, still_batch=4, steps=2, pairs=2, tests=4)


@pytest.fixture(scope="module")
def clip_state() -> dict[str, torch.Tensor]:
    return pretrain(0, TINY)


@pytest.mark.parametrize("name", ["frame average", "no [MST] + local", "3-4-2 shuffled + local"])
def test_a_variant_keeps_the_frame_wise_weights_at_the_start(name: str, clip_state: dict[str, torch.Tensor]) -> None:
    model, _ = build_variant(VARIANTS[name], clip_state, 0)
    assert torch.equal(model.video.conv1.weight, clip_state["visual.conv1.weight"])
    assert torch.equal(model.text.token_embedding.weight, clip_state["text.token_embedding.weight"])
    assert torch.equal(model.logit_scale, clip_state["logit_scale"])


def test_shuffled_levels_see_other_frames_and_are_otherwise_the_same_tower(clip_state: dict[str, torch.Tensor]) -> None:
    video = to_input([draw_pair("order-4", THINGS[:2], np.random.default_rng(0))[0]])
    with torch.no_grad():
        regular, shuffled = (build_variant(VARIANTS[name], clip_state, 0)[1] for name in ("3-4-2", "3-4-2 shuffled"))
        one_level = build_variant(VARIANTS["1-12-1"], clip_state, 0)[1]
        assert not torch.equal(regular(video), shuffled(video))
        order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
        assert torch.allclose(one_level(video), one_level(video[:, order]), atol=1e-5)


def test_the_average_of_frames_is_right_about_twins_in_exactly_half(clip_state: dict[str, torch.Tensor]) -> None:
    outcome = finetune("frame average", Seed.prepare(0, TINY), TINY)
    assert {outcome.scores[OVER_TWIN][query] for query in TIMED} == {50.0}
