"""How a model runs: on which device, in which arithmetic, with which other ranks, training or scoring.

Tasks stand on this; it knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from runtime.settings import Runtime, Settings
from training.engine.distributed import Ranks, sum_over


class ComputeSettings(Settings):
    """Where and how the arithmetic runs."""

    device: Runtime[str | None] = None
    """``cpu``, ``cuda``; None: a GPU where there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic of the towers; auto: bf16 autocast on a GPU that has it, else fp32. Weights stay fp32."""
    compile: Runtime[bool] = False
    """Compile what is trained with torch.compile (of VidLA the video tower); the first steps are slow then."""
    micro_batch: Runtime[int | None] = Field(default=None, ge=1)
    """Rows of a batch that a rank takes through the towers at once; None: all of its share. Loss and gradients are
    those of the whole batch either way; where the loss couples all rows (contrastive losses), embeddings are computed
    first, and once more with gradients."""
    threads: Runtime[int | None] = Field(default=None, ge=1)
    """Threads of one process on a CPU; None: torch's choice."""


@dataclass(frozen=True)
class Precision:
    """Arithmetic of the towers."""

    dtype: torch.dtype
    why: str

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} ({self.why})"

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """The context towers run in."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(device.type, self.dtype)


def choose_precision(asked: str, device: torch.device) -> Precision:
    """The arithmetic of a run, and why."""
    if asked != "auto":
        return Precision(torch.bfloat16 if asked == "bf16" else torch.float32, "as set")
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return Precision(torch.bfloat16, "the GPU has it")
    return Precision(torch.float32, "no GPU with bf16")


@contextmanager
def scoring(module: nn.Module, precision: Precision, device: torch.device) -> Iterator[None]:
    """Evaluation mode without gradients as long as the block runs; training mode after it."""
    module.eval()
    try:
        with torch.inference_mode(), precision.autocast(device):
            yield
    finally:
        module.train()


def joined(module: nn.Module, ranks: Ranks) -> nn.Module:
    """The module, on this rank's device, with gradients averaged over ranks.

    Its forward pass must use every parameter that is trained.
    """
    if ranks.world_size == 1:
        return module
    on = [ranks.device.index] if ranks.device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=on, gradient_as_bucket_view=True)


def sum_gradient(parameter: nn.Parameter, ranks: Ranks) -> None:
    """Average over the ranks the gradient of a parameter that the wrapped module ignores."""
    if parameter.grad is not None:
        parameter.grad.copy_(sum_over(parameter.grad, ranks) / ranks.world_size)


def gradients_meet(module: nn.Module, now: bool) -> AbstractContextManager[Any]:
    """Ranks exchange gradients in the last micro-batch only."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) and not now else nullcontext()


def random_state() -> dict[str, Any]:
    """What this rank's next random numbers depend on, as `set_random_state` takes it."""
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: Mapping[str, Any]) -> None:
    """Draw from here on as from where `random_state` was asked."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def drawn_again(state: Mapping[str, Any]) -> Iterator[None]:
    """Random numbers as they were drawn from `state` on; afterwards they go on as if nothing had been."""
    now = random_state()
    set_random_state(state)
    try:
        yield
    finally:
        set_random_state(now)
