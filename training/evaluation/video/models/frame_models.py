"""Models of single images from open_clip, scored on videos by the mean of their frames.

Any two-tower model that open_clip builds is one, whatever its image tower: ConvNeXt, ResNet, ViT, SigLIP, EVA.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from training.evaluation.video.models.video_text_model import mean_over_frames
from training.models.vidla.initial_weights import build_image_text_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.text.tokenizer import Tokenizer


class FrameMeanModel(nn.Module):
    """An open_clip model whose embedding of a clip is the mean of the unit vectors of its frames."""

    def __init__(self, settings: ModelSettings) -> None:
        """Open the model that `settings.init` names.

        Raises:
            UserError: the weights do not exist, can't be fetched, or are not of two towers.
        """
        super().__init__()
        self.clip, architecture, folder = build_image_text_model(settings)
        self.aggregation = "mean of frames"
        self.mean, self.std = tuple(architecture["mean"]), tuple(architecture["std"])
        self.tokenizer = Tokenizer(architecture["text_cfg"], folder)
        self.embed_dim = int(architecture["embed_dim"])
        size = self.clip.visual.image_size
        self.image_size = int(size[0] if isinstance(size, tuple | list) else size)

    @property
    def logit_scale(self) -> torch.Tensor:
        """Logarithm of the scale of logits."""
        return self.clip.logit_scale

    def encode_video(self, video_BTCHW: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Return embeddings [B, D] of clips with colours normalised by `mean` and `std`."""
        video_BD = mean_over_frames(self.clip.encode_image, video_BTCHW)
        return F.normalize(video_BD, dim=-1) if normalize else video_BD

    def encode_text(self, tokens: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Return embeddings [B, D] of tokens from `tokenizer`."""
        text_BD: torch.Tensor = self.clip.encode_text(tokens, normalize=normalize)
        return text_BD
