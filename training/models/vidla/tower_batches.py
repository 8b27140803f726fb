"""How VidLA's towers take a batch: its clips as model input, without the temperature.

Shared by contrastive training (`training.vidla.contrastive_task`) and by finetuning with a head.

Shapes: B clips, T frames, C colours, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from training.data.clip_batch import ClipBatch
from training.data.decoding.model_input import to_model_input
from training.engine.device import to_device
from training.models.vidla.two_tower import VidLA


def clips_of(batch: ClipBatch, model: VidLA, device: torch.device) -> torch.Tensor:
    """A batch's clips as `model` takes them, on `device`: cropped, mirrored, scaled, normalised; [B, T, C, H, W]."""
    return to_model_input(
        to_device(batch.video_BTSSC, device),
        to_device(batch.crop_B4, device),
        model.image_size,
        model.mean,
        model.std,
    )


class Towers(nn.Module):
    """A model without its temperature, which no tower uses.

    The temperature's gradient comes with the loss: in micro-batches before any tower's, where ranks don't exchange
    gradients yet. `training.engine.sync_gradients.average_gradients` sees to it.
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
