"""The input of VidLA's towers from a batch, and the towers without the temperature.

Contrastive training (`training.vidla.contrastive_task`) and finetuning with a head share it.

Shapes: B clips, T frames, C colours, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from training.data.clip_batch import ClipBatch
from training.data.decoding.model_input import to_model_input
from training.engine.parallel.distributed import to_device
from training.models.vidla.two_tower import VidLA


def clips_of(batch: ClipBatch, model: VidLA, device: torch.device) -> torch.Tensor:
    """Return a batch's clips as model input on `device`: cropped, mirrored, scaled, normalised; [B, T, C, H, W].

    All clips must have the same number of frames.
    """
    return to_model_input(
        to_device(batch.video_BTSSC, device),
        to_device(batch.crop_B4, device),
        model.image_size,
        model.mean,
        model.std,
    )


class Towers(nn.Module):
    """A model without its temperature, for DistributedDataParallel.

    No tower uses the temperature: its gradient comes with the loss, before any tower's. It is averaged over the ranks
    by `training.engine.parallel.sync_gradients.average_gradients`.
    """

    def __init__(self, model: VidLA) -> None:
        super().__init__()
        self.video, self.text = model.video, model.text
        self._model = (model,)  # in a tuple, so that its temperature is no parameter of this module

    def forward(
        self, videos: Sequence[torch.Tensor], tokens: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the embeddings of unit length of clips, one after the other, and of the texts by term of the loss.

        Args:
            videos: clips [B, T, C, H, W] of one number of frames each.
            tokens: int64 [B, L] by term.
        """
        model = self._model[0]
        video_BD = torch.cat([model.encode_video(video_BTCHW) for video_BTCHW in videos])
        return video_BD, {term: model.encode_text(ids) for term, ids in tokens.items()}
