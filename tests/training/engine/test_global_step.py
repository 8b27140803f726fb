"""The gradients of a global step are those of the whole batch, whatever the micro-batches and ranks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from support.ranks import on_ranks
from torch import nn

from training.engine.global_step import GlobalStep, TwoPassEmbeddings
from training.engine.parallel.distributed import Ranks
from training.engine.parallel.sync_gradients import wrap_ddp
from training.engine.training_task import NonFiniteLoss, StepReport

ROWS = 8
WEIGHTS = {"error": 1.0, "size": 0.25}


def inputs(rows: slice = slice(None)) -> torch.Tensor:
    """Return rows of three numbers."""
    return torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(0))[rows]


def counted(rows: slice = slice(None)) -> torch.Tensor:
    """Return True for rows that count for the term `error`."""
    return (torch.arange(ROWS) % 3 > 0)[rows]


def model() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(3, 1)


def plain_gradient() -> tuple[dict[str, float], torch.Tensor]:
    """Return losses and gradient of the whole batch, computed without the engine."""
    module = model()
    output = module(inputs()).squeeze(1)
    error = output[counted()].square().mean()
    size = output.abs().mean()
    total = WEIGHTS["error"] * error + WEIGHTS["size"] * size
    total.backward()
    assert module.weight.grad is not None
    return {"error": error.item(), "size": size.item(), "total": total.item()}, module.weight.grad


def step(ranks: Ranks, micro_batch: int) -> tuple[StepReport, torch.Tensor]:
    """Return report and gradient of `GlobalStep`, for this rank's share of the rows."""
    module = model()
    wrapped = wrap_ddp(module, ranks)
    share = ROWS // ranks.world_size
    first = ranks.rank * share
    end = first + share
    parts = [slice(begin, min(begin + micro_batch, end)) for begin in range(first, end, micro_batch)]

    def terms(rows: slice) -> dict[str, torch.Tensor]:
        output = wrapped(inputs(rows)).squeeze(1)
        return {
            "error": (output.square() * counted(rows)).sum(),
            "size": output.abs().sum(),
            "positive": (output > 0).sum().float(),
        }

    own = slice(first, end)
    global_step = GlobalStep(module, ranks, WEIGHTS, wrapped)
    counts = global_step.counts({"error": counted(own).sum(), "size": share, "positive": share})
    report = global_step.run(parts, terms, counts, [str(row) for row in range(first, end)])
    assert module.weight.grad is not None
    return report, module.weight.grad


@pytest.mark.parametrize("micro_batch", [1, 3, ROWS])
def test_micro_batches_give_losses_and_gradients_of_the_whole_batch(micro_batch: int) -> None:
    losses, gradient = plain_gradient()
    report, found = step(Ranks(), micro_batch)
    assert report.losses == pytest.approx(losses)
    torch.testing.assert_close(found, gradient)


def step_on_rank(ranks: Ranks) -> tuple[dict[str, float], torch.Tensor]:
    report, gradient = step(ranks, micro_batch=3)
    return dict(report.losses), gradient


def test_ranks_give_losses_and_gradients_of_the_whole_batch(tmp_path: Path) -> None:
    losses, gradient = plain_gradient()
    for found_losses, found in on_ranks(2, step_on_rank, tmp_path):
        assert found_losses == pytest.approx(losses)
        torch.testing.assert_close(found, gradient)


def test_a_term_without_weight_is_reported_and_not_differentiated() -> None:
    report, _ = step(Ranks(), ROWS)
    positive = (model()(inputs()) > 0).float().mean().item()
    assert report.facts == pytest.approx({"positive": positive})
    assert "positive" not in report.losses


def test_a_count_of_zero_gives_a_loss_of_zero() -> None:
    module = model()
    global_step = GlobalStep(module, Ranks(), {"error": 1.0}, module)
    counts = global_step.counts({"error": 0})
    report = global_step.run([0], lambda part: {"error": module(inputs()).sum() * 0}, counts, [])
    assert report.losses == {"error": 0.0, "total": 0.0}


def test_a_loss_that_is_not_finite_names_the_rows_and_leaves_no_gradient() -> None:
    module = model()
    global_step = GlobalStep(module, Ranks(), {"error": 1.0}, module)
    with pytest.raises(NonFiniteLoss, match=r"error inf.*clip-0 clip-1"):
        global_step.run([0], lambda part: {"error": module(inputs()).sum() * math.inf}, {}, ["clip-0", "clip-1"])
    assert all(parameter.grad is None for parameter in module.parameters())


def embedded(module: nn.Module, rows: slice) -> tuple[torch.Tensor, ...]:
    return (module(inputs(rows)),)


def test_two_passes_carry_the_gradient_of_a_loss_over_all_rows_into_the_module() -> None:
    whole, parts = model(), model()
    whole(inputs()).std().backward()
    embeddings = TwoPassEmbeddings(parts, parts, embedded)
    (leaf,) = embeddings.forward([slice(0, 3), slice(3, 6), slice(6, ROWS)])
    leaf.std().backward()
    embeddings.backward()
    assert parts.weight.grad is not None
    torch.testing.assert_close(parts.weight.grad, whole.weight.grad)


def test_both_passes_drop_the_same_units() -> None:
    module = nn.Sequential(model(), nn.Dropout(0.5))
    seen: list[torch.Tensor] = []
    module.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    embeddings = TwoPassEmbeddings(module, module, embedded)
    (leaf,) = embeddings.forward([slice(0, 4), slice(4, ROWS)])
    leaf.sum().backward()
    embeddings.backward()
    torch.testing.assert_close(torch.stack(seen[:2]), torch.stack(seen[2:]))


def test_embeddings_that_no_loss_depends_on_get_a_gradient_of_zero() -> None:
    module = model()
    embeddings = TwoPassEmbeddings(module, module, embedded)
    embeddings.forward([slice(None)])
    embeddings.backward()
    assert module.weight.grad is not None
    assert not module.weight.grad.any()
