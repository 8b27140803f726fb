"""How a task's towers run: which arithmetic, on how many clips at once, with which other ranks, training or scoring.

Shared by contrastive training (`training.vidla.task`) and by finetuning with a head.

Shapes: B clips, T frames, C colours, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.data.augment import to_model_input
from training.data.records import Batch
from training.engine.distributed import Ranks, sum_over
from training.engine.task import to_device
from training.vidla.model import VidLA


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


def clips_of(batch: Batch, model: VidLA, device: torch.device) -> torch.Tensor:
    """A batch's clips as `model` takes them, on `device`: cropped, mirrored, scaled, normalised; [B, T, C, H, W]."""
    return to_model_input(
        to_device(batch.video_BTSSC, device),
        to_device(batch.crop_B4, device),
        model.image_size,
        model.mean,
        model.std,
    )


@contextmanager
def scoring(module: nn.Module, precision: Precision, device: torch.device) -> Iterator[None]:
    """Evaluation mode without gradients as long as the block runs; training mode after it."""
    module.eval()
    try:
        with torch.inference_mode(), precision.autocast(device):
            yield
    finally:
        module.train()


def split(batch: Batch, rows: int) -> Iterator[Batch]:
    """A batch in pieces of at most `rows` clips, in order."""
    for begin in range(0, len(batch), rows):
        part = slice(begin, begin + rows)
        yield Batch(
            video_BTSSC=batch.video_BTSSC[part],
            crop_B4=batch.crop_B4[part],
            weight_B=batch.weight_B[part],
            tokens={term: tokens_BL[part] for term, tokens_BL in batch.tokens.items()},
            present={term: present_B[part] for term, present_B in batch.present.items()},
            video_id_B=batch.video_id_B[part],
            span_B2=batch.span_B2[part],
            keys=batch.keys[part],
        )


def joined(module: nn.Module, ranks: Ranks) -> nn.Module:
    """The module, on this rank's device, with gradients averaged over ranks.

    Its forward pass must use every parameter that is trained (see `Towers`).
    """
    if ranks.world_size == 1:
        return module
    on = [ranks.device.index] if ranks.device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=on, gradient_as_bucket_view=True)


class Towers(nn.Module):
    """A model without its temperature, which no tower uses.

    The temperature's gradient comes with the loss: in micro-batches before any tower's, where ranks don't exchange
    gradients yet. `sum_gradient` sees to it.
    """

    def __init__(self, model: VidLA) -> None:
        super().__init__()
        self.video, self.text = model.video, model.text
        self._model = (model,)  # in a tuple, so that its temperature is no parameter of this module

    def forward(
        self, video_BTCHW: torch.Tensor, tokens: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """As the model's."""
        found: tuple[torch.Tensor, dict[str, torch.Tensor]] = self._model[0](video_BTCHW, tokens)
        return found


def sum_gradient(parameter: nn.Parameter, ranks: Ranks) -> None:
    """Average over the ranks the gradient of a parameter that the wrapped module ignores."""
    if parameter.grad is not None:
        parameter.grad.copy_(sum_over(parameter.grad, ranks) / ranks.world_size)


def gradients_meet(towers: nn.Module, now: bool) -> AbstractContextManager[Any]:
    """Ranks exchange gradients in the last micro-batch only."""
    return towers.no_sync() if isinstance(towers, DistributedDataParallel) and not now else nullcontext()
