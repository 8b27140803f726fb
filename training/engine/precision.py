"""The arithmetic that a model runs in: bf16 autocast or fp32, and the mode in which it is scored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Precision:
    """Arithmetic of the towers."""

    dtype: torch.dtype
    why: str
    """Why it was chosen, for the log's header."""

    @property
    def name(self) -> str:
        """The setting `compute.precision` that asks for this arithmetic: ``bf16`` or ``fp32``."""
        return "fp32" if self.dtype == torch.float32 else "bf16"

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} ({self.why})"

    def arithmetic(self, device: torch.device) -> dict[str, str]:
        """Return what decides the bits of a result beside its input, as plain values for an identity.

        On a GPU products of float32 may be computed in TF32, which keeps 10 bits of each factor.

        Args:
            device: the device that the model runs on.
        """
        products = torch.get_float32_matmul_precision() if device.type == "cuda" else "highest"
        return {"precision": self.name, "device": device.type, "float32_products": products}

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """Return the context that towers run in."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(device.type, self.dtype)


def choose_precision(asked: str, device: torch.device) -> Precision:
    """Return the arithmetic of a run, with the reason for it.

    Args:
        asked: ``auto``, ``bf16`` or ``fp32``.
        device: the device that the model runs on.
    """
    if asked != "auto":
        return Precision(torch.bfloat16 if asked == "bf16" else torch.float32, "as set")
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return Precision(torch.bfloat16, "the GPU has it")
    return Precision(torch.float32, "no GPU with bf16")


@contextmanager
def evaluation_mode(module: nn.Module, precision: Precision, device: torch.device) -> Iterator[None]:
    """Put `module` into evaluation mode, without gradients, for the block; put it back into training mode after it."""
    module.eval()
    try:
        with torch.inference_mode(), precision.autocast(device):
            yield
    finally:
        module.train()
