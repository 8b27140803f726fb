"""Averages of the weights: their values, a resumed run, and what is scored and kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.ranks import on_ranks
from support.toy_training import ToyBatches, ToyTask, toy_run
from torch import nn

from training.engine.checkpoints.training_state import whole_weights
from training.engine.engine_settings import OptimSettings
from training.engine.optimizer import build_optimizer
from training.engine.parallel.distributed import Ranks
from training.engine.parallel.fully_sharded import shard
from training.engine.training_loop import TrainingRun, train
from training.engine.weight_average import WeightAverage


def run_with_average(folder: Path, **changes: Any) -> TrainingRun:
    run = toy_run(folder, **changes)
    run.optim = OptimSettings(lr=0.05, lr_end=0.01, ema_decay=0.8)
    return run


def averages_of(run: TrainingRun) -> dict[str, torch.Tensor]:
    """Return the module's state with the averages in place."""
    assert run.average is not None
    with run.average.in_place():
        return {name: value.clone() for name, value in run.task.module.state_dict().items()}


def test_the_average_is_that_of_the_formula_and_weights_come_back() -> None:
    module = nn.Linear(2, 1)
    optimizer = build_optimizer(module, OptimSettings(lr=0.1, lr_end=0))
    average = WeightAverage(optimizer, 0.9)
    assert average.is_empty
    expected = None
    for _ in range(4):
        optimizer.zero_grad()
        module(torch.randn(3, 2)).square().sum().backward()
        optimizer.step()
        average.update()
        now = module.weight.detach().clone()
        expected = now if expected is None else 0.9 * expected + 0.1 * now
    with average.in_place():
        torch.testing.assert_close(module.weight.detach(), expected)
    assert torch.equal(module.weight, now)


def test_a_parameter_without_gradients_is_left_alone_until_it_has_some() -> None:
    module = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    optimizer = build_optimizer(module, OptimSettings(lr=0.1, lr_end=0))
    average = WeightAverage(optimizer, 0.5)
    for used in (module[:1], module):
        optimizer.zero_grad()
        sum(layer(torch.ones(1, 1)).sum() for layer in used).backward()
        optimizer.step()
        average.update()
    with average.in_place():
        assert torch.isfinite(module[1].weight).all()


def test_a_run_that_was_stopped_goes_on_with_the_same_averages(tmp_path: Path) -> None:
    whole = run_with_average(tmp_path / "whole")
    train(whole)
    batches = ToyBatches()
    first = run_with_average(tmp_path / "parts", batches=batches)
    batches.on_step = lambda step: setattr(first.stop, "asked", step == 5)
    train(first)
    second = run_with_average(tmp_path / "parts")
    train(second, "auto")
    wanted, found = averages_of(whole), averages_of(second)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert not torch.equal(wanted["0.weight"], whole.task.module.state_dict()["0.weight"])


class ScoringTask(ToyTask):
    """Notes the weights that it is scored with."""

    scored: Mapping[str, torch.Tensor]

    def evaluate(self) -> Mapping[str, float]:
        self.scored = {name: value.clone() for name, value in self.module.state_dict().items()}
        return super().evaluate()


@pytest.mark.parametrize("score_average", [True, False])
def test_scores_and_the_best_model_are_of_the_averages_unless_asked_otherwise(
    score_average: bool, tmp_path: Path
) -> None:
    run = run_with_average(tmp_path)
    run.task = ScoringTask()
    run.optim = run.optim.model_copy(update={"score_average": score_average})
    train(run)
    expected = averages_of(run) if score_average else run.task.module.state_dict()
    assert all(torch.equal(run.task.scored[name], expected[name]) for name in expected)
    kept = load_file(tmp_path / "average" / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in averages_of(run).items())


def test_averages_that_begin_in_a_resumed_run_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train(toy_run(tmp_path, steps=4))
    resumed = run_with_average(tmp_path, steps=6)
    train(resumed, "auto")
    assert "the checkpoint of step 4 has no averaged weights" in caplog.text
    assert resumed.average is not None and not resumed.average.is_empty


def averaged(ranks: Ranks, sharded: bool) -> dict[str, torch.Tensor]:
    """Return the averages of two linear layers after three steps, sharded over the ranks or whole on each."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    trained = shard(module, ranks, torch.float32) if sharded else module
    optimizer = build_optimizer(trained, OptimSettings(lr=0.1, lr_end=0))
    average = WeightAverage(optimizer, 0.5)
    for step in range(3):
        optimizer.zero_grad()
        trained(torch.ones(2, 4) * (step + 1)).square().sum().backward()
        optimizer.step()
        average.update()
    with average.in_place():
        return {name: value.clone() for name, value in whole_weights(trained, ranks).items()}


def test_averages_of_sharded_weights_are_those_of_whole_ones(tmp_path: Path) -> None:
    expected = averaged(Ranks(), sharded=False)
    found = on_ranks(2, averaged, tmp_path, True)[0]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)
