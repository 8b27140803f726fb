"""AdamW's groups and the learning rate, against closed forms and PyTorch's own schedule."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from runtime.errors import UserError
from training.engine.engine_settings import OptimSettings
from training.engine.optimizer import build_optimizer, learning_rate, set_learning_rate


class Model(nn.Module):
    """A module with one parameter of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(3, 4)
        self.positional_embedding = nn.Parameter(torch.ones(2, 4))
        self.proj = nn.Parameter(torch.ones(4, 4))
        self.old = nn.Linear(4, 4)
        self.new = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


def is_new(name: str) -> bool:
    return name.startswith("new.")


def group_of(optimizer: torch.optim.Optimizer, name: str) -> dict:
    (group,) = [g for g in optimizer.param_groups if name in g["param_names"]]
    return group


def test_only_matrices_of_layers_decay() -> None:
    optimizer = build_optimizer(Model(), OptimSettings(weight_decay=0.3))
    decaying = {n for g in optimizer.param_groups if g["weight_decay"] == 0.3 for n in g["param_names"]}
    assert decaying == {"proj", "old.weight", "new.weight"}


def test_everything_decays_where_nothing_is_exempt() -> None:
    optimizer = build_optimizer(Model(), OptimSettings(decay_exempt=False))
    assert all(group["weight_decay"] == 0.02 for group in optimizer.param_groups)


def test_every_trained_parameter_is_in_one_group_and_no_frozen_one() -> None:
    model = Model()
    optimizer = build_optimizer(model, OptimSettings(lr_new=1e-3), is_new)
    names = [name for group in optimizer.param_groups for name in group["param_names"]]
    assert sorted(names) == sorted(name for name, p in model.named_parameters() if p.requires_grad)


def test_new_parameters_keep_their_ratio_while_the_rate_falls() -> None:
    optimizer = build_optimizer(Model(), OptimSettings(lr=1e-4, lr_new=1e-3), is_new)
    assert group_of(optimizer, "new.weight")["lr"] == pytest.approx(1e-3)
    set_learning_rate(optimizer, 5e-5)
    assert group_of(optimizer, "new.bias")["lr"] == pytest.approx(5e-4)
    assert group_of(optimizer, "old.weight")["lr"] == pytest.approx(5e-5)


def test_a_step_is_that_of_adamw_by_its_formula() -> None:
    settings = OptimSettings(lr=0.1, weight_decay=0.5)
    layer = nn.Linear(1, 1)
    before = layer.weight.item(), layer.bias.item()
    optimizer = build_optimizer(layer, settings)
    layer.weight.grad, layer.bias.grad = torch.full((1, 1), 3.0), torch.full((1,), -2.0)
    optimizer.step()
    assert layer.weight.item() == pytest.approx(before[0] * (1 - 0.1 * 0.5) - 0.1, rel=1e-5)  # first step: sign of g
    assert layer.bias.item() == pytest.approx(before[1] + 0.1, rel=1e-5)


def test_the_state_comes_back_with_ratios_and_rates() -> None:
    saved = build_optimizer(Model(), OptimSettings(lr=1e-4, lr_new=1e-3), is_new)
    set_learning_rate(saved, 2e-5)
    fresh = build_optimizer(Model(), OptimSettings(lr=1e-4, lr_new=1e-3), is_new)
    fresh.load_state_dict(saved.state_dict())
    assert [g["lr"] for g in fresh.param_groups] == [g["lr"] for g in saved.param_groups]
    assert group_of(fresh, "new.weight")["lr_ratio"] == pytest.approx(10)


def test_the_cosine_is_that_of_pytorch() -> None:
    settings = OptimSettings(lr=2e-5, lr_end=4e-8)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=settings.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=settings.lr_end)
    for step in range(50):
        assert learning_rate(step, 50, settings) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        schedule.step()


def test_the_rate_warms_up_linearly_then_falls_to_its_end() -> None:
    settings = OptimSettings(lr=1.0, lr_end=0.1, warmup=4)
    assert [learning_rate(step, 14, settings) for step in range(5)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert learning_rate(9, 14, settings) == pytest.approx(0.55)
    assert learning_rate(14, 14, settings) == learning_rate(99, 14, settings) == pytest.approx(0.1)


def test_a_quarter_of_the_way_the_cosine_is_at_its_closed_form() -> None:
    assert learning_rate(25, 100, OptimSettings(lr=1.0, lr_end=0)) == pytest.approx((1 + math.sqrt(0.5)) / 2)


def test_a_warmup_as_long_as_the_run_is_refused() -> None:
    with pytest.raises(UserError, match="warmup=10"):
        learning_rate(0, 10, OptimSettings(warmup=10))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"lr": 1e-9}, "lr_end=4e-08 is above lr=1e-09"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"clip_norm": 0}, "clip_norm"),
    ],
)
def test_rates_that_cannot_be_are_refused_by_name(values: dict, named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        OptimSettings(**values)


def test_a_linear_schedule_falls_by_equal_amounts_to_its_end() -> None:
    settings = OptimSettings(lr=1.0, lr_end=0.0, schedule="linear", warmup=2)
    rates = [learning_rate(step, 6, settings) for step in range(7)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0])


def test_a_warmup_below_one_is_a_share_of_the_run() -> None:
    rates = [learning_rate(step, 8, OptimSettings(lr=1.0, lr_end=0.0, warmup=0.25)) for step in range(3)]
    assert rates == pytest.approx([0.5, 1.0, 1.0])


def test_a_warmup_of_a_step_and_a_half_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number"):
        OptimSettings(warmup=1.5)
