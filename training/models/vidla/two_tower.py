"""VidLA: the video tower, CLIP's text tower as it is, and a temperature.

Built by `training.models.vidla.initial_weights` from CLIP weights or by `training.models.vidla.vidla_folder` from a folder; trained by
`training.vidla.pretraining_run` and scored by `training.evaluation`.

Shapes: B clips or texts, T frames, C colours, H height, W width, L text tokens, D embedding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from open_clip.model import CustomTextCLIP
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from torch import nn
from torch.nn import functional as F

from training.models.vidla.model_settings import PAPER_TEMPERATURE, TemporalSettings
from training.models.vidla.video_tower import VideoTower

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class VidLA(nn.Module):
    """Two towers whose embeddings meet in one space."""

    def __init__(self, clip: nn.Module, architecture: Mapping[str, Any]) -> None:
        """Build on a CLIP model of open_clip.

        Args:
            clip: open_clip's `CustomTextCLIP`; its text tower is taken over, its image tower copied.
            architecture: all that rebuilds this model, see `architecture`; `mean` and `std` are of the pictures.

        Raises:
            UserError: the image tower can't become a video tower, or the levels don't fit the number of frames.
        """
        super().__init__()
        self._architecture = copy.deepcopy(dict(architecture))
        temporal = TemporalSettings(**architecture["temporal"])
        self.video = VideoTower.from_clip(clip.visual, temporal, architecture["frames"])  # type: ignore[arg-type]
        self.text: nn.Module = clip.text  # type: ignore[assignment]
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / PAPER_TEMPERATURE)))
        self.mean: tuple[float, ...] = tuple(architecture["mean"])
        self.std: tuple[float, ...] = tuple(architecture["std"])
        self.tokenizer = Tokenizer(architecture["text_cfg"])

    @property
    def architecture(self) -> dict[str, Any]:
        """All that rebuilds this model, as plain JSON: configuration of the towers, temporal settings, frames."""
        return {**copy.deepcopy(self._architecture), "frames": self.video.frames}

    @property
    def image_size(self) -> int:
        """Side of a frame, pixels."""
        return int(self.video.image_size)

    @property
    def embed_dim(self) -> int:
        """Length of an embedding."""
        return int(self.video.proj.shape[1])

    def encode_video(self, video_BTCHW: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Embeddings [B, D] of clips with colours normalised by `mean` and `std`; of unit length if `normalize`."""
        features_BD = self.video(video_BTCHW)
        return F.normalize(features_BD, dim=-1) if normalize else features_BD

    def encode_text(self, tokens_BL: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Embeddings [B, D] of tokens that `tokenizer` made; of unit length if `normalize`."""
        features_BD = self.text(tokens_BL)
        return F.normalize(features_BD, dim=-1) if normalize else features_BD

    def forward(
        self, video_BTCHW: torch.Tensor, tokens: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Embeddings of unit length: of the clips, and of the texts by term of the loss."""
        return self.encode_video(video_BTCHW), {term: self.encode_text(ids) for term, ids in tokens.items()}


def build(architecture: Mapping[str, Any]) -> VidLA:
    """A model of this architecture with random weights.

    Raises:
        UserError: no video tower can be made of it.
    """
    return VidLA(build_clip(architecture), architecture)


def build_clip(architecture: Mapping[str, Any]) -> CustomTextCLIP:
    """The two towers of an architecture as open_clip makes them, with random weights."""
    text = copy.deepcopy(architecture["text_cfg"])
    if "hf_model_name" in text:
        text["hf_model_pretrained"] = False
    vision = copy.deepcopy(architecture["vision_cfg"])
    return CustomTextCLIP(architecture["embed_dim"], vision, text, architecture["quick_gelu"])


def set_temperature(model: VidLA, temperature: float) -> None:
    """Let the learnt temperature start here."""
    nn.init.constant_(model.logit_scale, math.log(1 / temperature))


class Tokenizer:
    """Texts to int64 [B, L], cut to the context; goes to other processes as its configuration."""

    def __init__(self, text_cfg: Mapping[str, Any]) -> None:
        """`text_cfg`: open_clip's configuration of a text tower."""
        self.text_cfg = copy.deepcopy(dict(text_cfg))
        context = text_cfg.get("context_length", 77)
        options = text_cfg.get("tokenizer_kwargs") or {}
        self._tokenizer: Callable[[list[str]], torch.Tensor]
        if name := text_cfg.get("hf_tokenizer_name"):
            mode = text_cfg.get("tokenizer_mode")
            self._tokenizer = HFTokenizer(name, context_length=context, tokenizer_mode=mode, **options)
        else:
            self._tokenizer = SimpleTokenizer(context_length=context, **options)

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Tokens of each text."""
        return self._tokenizer(list(texts))

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[dict[str, Any]]]:
        return Tokenizer, (self.text_cfg,)
