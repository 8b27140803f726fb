"""The VidLA model: the video tower, the text tower as it came, a temperature, and the bias of a sigmoid loss.

`training.models.vidla.initial_weights` builds it from CLIP weights, `training.models.vidla.vidla_folder` from a folder;
`training.vidla.pretraining_run` trains it.

Shapes: B clips or texts, T frames, C colours, H height, W width, L text tokens, D embedding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CustomTextCLIP
from torch import nn
from torch.nn import functional as F

from training.data.decoding.model_input import to_model_input
from training.models.vidla.model_settings import FIRST_LOGIT_BIAS, FIRST_TEMPERATURE, TemporalSettings
from training.models.vidla.text.long_context import lengthen_context
from training.models.vidla.text.tokenizer import Tokenizer
from training.models.vidla.text.trimmed_text import encode_tokens
from training.models.vidla.video_tower import VideoTower

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Architecture(TypedDict):
    """Plain JSON that rebuilds a VidLA model; kept in `config.json` of its folder."""

    embed_dim: int
    quick_gelu: bool
    vision_cfg: dict[str, Any]
    """open_clip's configuration of the image tower."""
    text_cfg: dict[str, Any]
    """open_clip's configuration of the text tower."""
    temporal: dict[str, Any]
    """Values of `TemporalSettings`."""
    frames: int
    mean: list[float]
    """Mean of each colour, for normalisation."""
    std: list[float]
    """Standard deviation of each colour, for normalisation."""
    logit_bias: NotRequired[bool]
    """True if the model has the bias of a sigmoid loss."""


class VidLA(nn.Module):
    """A video tower and a text tower with embeddings in one space."""

    aggregation: Final = "video tower"
    """How frames become one embedding, as reports name it."""

    def __init__(self, clip: nn.Module, architecture: Architecture, folder: Path | None = None) -> None:
        """Build the model from a CLIP model of open_clip.

        Args:
            clip: open_clip's `CustomTextCLIP`; its text tower is taken over, its image tower copied.
            architecture: values that rebuild this model, see `architecture`; `mean` and `std` normalise the colours.
            folder: may hold the files of the text tower's tokenizer.

        Raises:
            UserError: the image tower can't become a video tower, or the levels don't fit the number of frames.
        """
        super().__init__()
        self._architecture: Architecture = copy.deepcopy(architecture)
        temporal = TemporalSettings(**architecture["temporal"])
        self.video = VideoTower.from_clip(clip.visual, temporal, architecture["frames"])  # type: ignore[arg-type]
        self.text: nn.Module = clip.text  # type: ignore[assignment]
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / FIRST_TEMPERATURE)))
        self.logit_bias: nn.Parameter | None = None
        if architecture.get("logit_bias"):
            self.add_logit_bias()
        self.mean: tuple[float, ...] = tuple(architecture["mean"])
        self.std: tuple[float, ...] = tuple(architecture["std"])
        self._folder = folder

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the text tower; read when it is first asked for, as embeddings alone need none.

        Raises:
            UserError: it is not beside the weights, and can't be fetched.
        """
        return Tokenizer(self._architecture["text_cfg"], self._folder)

    @property
    def architecture(self) -> Architecture:
        """Plain JSON that rebuilds this model: configuration of the towers, temporal settings, frames."""
        described: Architecture = {**copy.deepcopy(self._architecture), "frames": self.video.frames}
        if self.logit_bias is not None:
            described["logit_bias"] = True
        return described

    @property
    def image_size(self) -> int:
        """Side of a frame, pixels."""
        return int(self.video.image_size)

    @property
    def embed_dim(self) -> int:
        """Length of an embedding."""
        return self._architecture["embed_dim"]

    @property
    def frames(self) -> int:
        """Frames of a clip that the model was trained with; others are possible."""
        return self.video.frames

    def add_logit_bias(self, start: float = FIRST_LOGIT_BIAS) -> None:
        """Add the bias of a sigmoid loss."""
        self.logit_bias = nn.Parameter(torch.full_like(self.logit_scale.detach(), start))

    def lengthen_context(self, tokens: int) -> None:
        """Let the text tower take texts of `tokens` tokens; see `training.models.vidla.text.long_context`.

        Raises:
            UserError: its kind can't, or it takes as many already.
        """
        lengthen_context(self.text, tokens)
        self.tokenizer = self.tokenizer.with_context(tokens)
        self._architecture["text_cfg"]["context_length"] = tokens

    def preprocess(self, clips: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        """Return clips as input of `encode_video`: the centre square, scaled, normalised, on the model's device.

        Args:
            clips: RGB frames of one clip [T, H, W, 3], or of several, each of any height and width but all of T frames.

        Returns:
            float32 [B, T, C, S, S], with S the `image_size`; B is 1 for one clip.

        Raises:
            ValueError: an array of another type or shape.
        """
        several = [clips] if isinstance(clips, np.ndarray) and clips.ndim == 4 else list(clips)
        return torch.cat([self._preprocessed(clip) for clip in several])

    def _preprocessed(self, clip_THWC: NDArray[np.uint8]) -> torch.Tensor:
        if clip_THWC.dtype != np.uint8 or clip_THWC.ndim != 4 or clip_THWC.shape[3] != 3:
            raise ValueError(f"a clip of {clip_THWC.dtype} {clip_THWC.shape}: give uint8 frames [T, H, W, 3]")
        height, width = clip_THWC.shape[1:3]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = np.ascontiguousarray(clip_THWC[None, :, top : top + side, left : left + side])
        whole_B4 = torch.tensor([[0.0, 0.0, 1.0, 0.0]], device=self.logit_scale.device)
        video_BTSSC = torch.from_numpy(square).to(self.logit_scale.device)
        return to_model_input(video_BTSSC, whole_B4, self.image_size, self.mean, self.std)

    def encode_video(self, video_BTCHW: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Return embeddings [B, D] of clips with colours normalised by `mean` and `std`; unit length if `normalize`."""
        features_BD = self.video(video_BTCHW)
        return F.normalize(features_BD, dim=-1) if normalize else features_BD

    def encode_text(self, tokens_BL: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Return embeddings [B, D] of tokens from `tokenizer`; of unit length if `normalize`."""
        features_BD = encode_tokens(self.text, tokens_BL)
        return F.normalize(features_BD, dim=-1) if normalize else features_BD

    def forward(
        self, video_BTCHW: torch.Tensor, tokens: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return embeddings of unit length: of the clips, and of the texts by term of the loss."""
        return self.encode_video(video_BTCHW), {term: self.encode_text(ids) for term, ids in tokens.items()}


def build(architecture: Architecture, folder: Path | None = None) -> VidLA:
    """Build a model of this architecture with random weights; `folder` may hold the files of its tokenizer.

    Raises:
        UserError: the image tower can't become a video tower, or the levels don't fit the number of frames.
    """
    return VidLA(build_clip(architecture), architecture, folder)


def build_clip(architecture: Architecture) -> CustomTextCLIP:
    """Build open_clip's two towers of an architecture, with random weights."""
    text = copy.deepcopy(architecture["text_cfg"])
    if "hf_model_name" in text:
        text["hf_model_pretrained"] = False
    vision = copy.deepcopy(architecture["vision_cfg"])
    bias = FIRST_LOGIT_BIAS if architecture.get("logit_bias") else None
    return CustomTextCLIP(architecture["embed_dim"], vision, text, architecture["quick_gelu"], init_logit_bias=bias)


def set_temperature(model: VidLA, temperature: float) -> None:
    """Set the learnt temperature."""
    nn.init.constant_(model.logit_scale, math.log(1 / temperature))
