"""AdamW and its learning rate: groups of parameters that decay or are new, and the schedule of the rate.

The loop passes `learning_rate` of each step to `set_learning_rate`. The schedule has no state, so a resumed run needs
only the number of the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypedDict

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from runtime.errors import UserError
from training.engine.engine_settings import OptimSettings
from training.engine.layer_decay import LayerDepths

_EMBEDDING: Final = "embedding"
"""Part of the name of every embedding that is a plain parameter and not an `nn.Embedding`."""


class _ParameterGroup(TypedDict):
    """Parameters with one learning rate and one weight decay."""

    params: list[tuple[str, nn.Parameter]]
    lr: float
    lr_ratio: float
    """The group's rate over `OptimSettings.lr`."""
    weight_decay: float


def build_optimizer(
    module: nn.Module, settings: OptimSettings, is_new: Callable[[str], bool] = lambda name: False
) -> torch.optim.AdamW:
    """Return AdamW over the trained parameters of `module`; fused if all of them are on a GPU.

    There are up to four groups: new or not, decaying or not; with `layer_decay`, as many for each number of layers
    above; and more if some parameters are sharded, as one kernel takes either whole or sharded ones. Each has
    `lr_ratio`, its rate over `settings.lr`, and the names of its parameters.

    Args:
        module: the model that is trained.
        settings: rates and decay.
        is_new: returns True for the name of a parameter that was not in the initial weights: it gets `lr_new`.
    """
    exempt = _without_decay(module) if settings.decay_exempt else set()
    ratio_of = _rate_ratios(module, settings, is_new)
    groups: dict[tuple[bool, bool, float, bool], list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            kind = is_new(name), name not in exempt, ratio_of(name), isinstance(parameter, DTensor)
            groups.setdefault(kind, []).append((name, parameter))
    described: list[_ParameterGroup] = [
        {
            "params": members,
            "lr": settings.lr * ratio,
            "lr_ratio": ratio,
            "weight_decay": settings.weight_decay if decays else 0.0,
        }
        for (_, decays, ratio, _), members in sorted(groups.items())
    ]
    parameter_groups: list[dict[str, Any]] = [dict(group) for group in described]
    on_gpu = all(parameter.is_cuda for members in groups.values() for _, parameter in members)
    return torch.optim.AdamW(
        parameter_groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=on_gpu or None
    )


def learning_rate(step: int, total: int, settings: OptimSettings) -> float:
    """Return the rate of step `step` of `total`, counted from 0.

    Linear from `lr / warmup` to `lr` over the warm-up; then, with ``x = (step - warmup) / (total - warmup)``,
    ``lr_end + (lr - lr_end) * (1 + cos(pi * x)) / 2``, or ``lr_end + (lr - lr_end) * (1 - x)`` if `schedule` is
    linear; `lr_end` from `total` on.

    Raises:
        UserError: the warm-up takes the whole run.
    """
    warmup = int(settings.warmup if settings.warmup >= 1 else settings.warmup * total)
    if warmup and warmup >= total:
        raise UserError(f"optim.warmup={warmup}: must be below the number of steps ({total}); lower it")
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    left = 1 - progress if settings.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return settings.lr_end + (settings.lr - settings.lr_end) * left


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group to `rate` times its own `lr_ratio`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_ratio"]


def _rate_ratios(module: nn.Module, settings: OptimSettings, is_new: Callable[[str], bool]) -> Callable[[str], float]:
    """Return a function from a parameter's name to its rate over `settings.lr`."""
    depths, of_new = LayerDepths(name for name, _ in module.named_parameters()), settings.lr_new or settings.lr

    def ratio(name: str) -> float:
        return of_new / settings.lr if is_new(name) else settings.layer_decay ** depths.above(name)

    return ratio


def _without_decay(module: nn.Module) -> set[str]:
    """Return the names of gains, biases, scalars and embeddings (`nn.Embedding`, or by name), which don't decay."""
    names = set()
    for prefix, owner in module.named_modules():
        for own, parameter in owner.named_parameters(recurse=False):
            if parameter.ndim < 2 or isinstance(owner, nn.Embedding) or _EMBEDDING in own:
                names.add(f"{prefix}.{own}" if prefix else own)
    return names
