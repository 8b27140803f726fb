"""Models of images or videos with texts from Hugging Face transformers: CLIP, SigLIP, ALIGN, X-CLIP and their like.

A model with `get_video_features` (X-CLIP) sees the whole clip; one with `get_image_features` is scored by the mean of
its frames. Text embeddings do not depend on the video: X-CLIP's prompts, which do, are left out. Frames are centre
crops of the size that the model's image processor states.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from runtime.errors import UserError, one_line
from runtime.models import model_uri
from training.evaluation.video.models.video_text_model import mean_over_frames

_SCALE: Final = 100.0
"""Scale of logits where a model has none of its own; CLIP's learnt scale ends there."""
_SHAPES: Final = (("height",), ("shortest_edge",))
"""Keys of an image processor's size that give a side in pixels."""


class TransformersTokenizer:
    """A model's own tokenizer, padded to its context; rows are [ids] or [ids, mask]."""

    def __init__(self, folder: Path, context: int) -> None:
        """Open the tokenizer in a folder."""
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._inputs = [name for name in ("input_ids", "attention_mask") if name in self._tokenizer.model_input_names]
        self.context = context

    def count(self, text: str) -> int:
        """Return the number of tokens of a whole text."""
        return len(self._tokenizer(text, truncation=False).input_ids)

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return int64 [B, 1 or 2, L]: ids, and the mask if the model takes one."""
        rows = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self.context, return_tensors="pt"
        )
        return torch.stack([rows[name] for name in self._inputs], dim=1)


class TransformersModel(nn.Module):
    """A Hugging Face model of two towers."""

    def __init__(self, uri: str) -> None:
        """Open a model.

        Args:
            uri: a folder, or a model URI (`hf://org/name`, `path:///folder`).

        Raises:
            UserError: no such model, or it does not embed images (or videos) and texts apart.
        """
        super().__init__()
        folder = Path(model_uri.resolve(uri).path) if "://" in uri else Path(uri)
        config, self.model = _opened(folder, uri)
        self._sees_time = hasattr(self.model, "get_video_features")
        self.frames: int | None = config.vision_config.num_frames if self._sees_time else None
        """Frames of a clip, where the model takes no other number."""
        self.aggregation = "video tower" if self._sees_time else "mean of frames"
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        self.image_size = _side(processor, uri)
        self.mean, self.std = tuple(processor.image_mean), tuple(processor.image_std)
        self.tokenizer = TransformersTokenizer(folder, config.text_config.max_position_embeddings)
        scale = getattr(self.model, "logit_scale", None)
        self.logit_scale = scale if isinstance(scale, nn.Parameter) else nn.Parameter(torch.tensor(_SCALE).log())
        with torch.inference_mode():
            self.embed_dim = int(self.encode_text(self.tokenizer(["a video"])).shape[1])

    def encode_video(self, video_BTCHW: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Return embeddings [B, D] of clips with colours normalised by `mean` and `std`."""
        if self._sees_time:
            video_BD = _pooled(self.model.get_video_features(pixel_values=video_BTCHW))
        else:
            video_BD = mean_over_frames(self._embed_images, video_BTCHW)
        return F.normalize(video_BD, dim=-1) if normalize else video_BD

    def encode_text(self, tokens: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Return embeddings [B, D] of tokens from `tokenizer`."""
        given = dict(zip(("input_ids", "attention_mask"), tokens.unbind(dim=1), strict=False))
        text_BD = _pooled(self.model.get_text_features(**given))
        return F.normalize(text_BD, dim=-1) if normalize else text_BD

    def _embed_images(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        return _pooled(self.model.get_image_features(pixel_values=images_NCHW))


def _opened(folder: Path, uri: str) -> tuple[Any, Any]:
    """Return configuration and model of a folder.

    Raises:
        UserError: transformers can't open it, or it has no two towers.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        model = AutoModel.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"--checkpoint transformers:{uri}: can't be opened ({one_line(error, keep='first')})") from None
    embeds_pictures = any(hasattr(model, name) for name in ("get_image_features", "get_video_features"))
    if not (embeds_pictures and hasattr(model, "get_text_features")):
        raise UserError(
            f"--checkpoint transformers:{uri}: {type(model).__name__} does not embed pictures and texts apart; name a "
            "model of two towers, such as CLIP, SigLIP or X-CLIP"
        )
    return config, model


def _pooled(output: Any) -> torch.Tensor:
    """Return the embeddings of an output, which is a tensor in older versions of transformers."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def _side(processor: Any, uri: str) -> int:
    """Return the side of an image processor's output, in pixels."""
    crop = getattr(processor, "crop_size", None)
    size = crop if crop and getattr(processor, "do_center_crop", False) else processor.size
    side = next((size[key] for (key,) in _SHAPES if size.get(key)), None)
    if side is None:
        raise UserError(f"--checkpoint transformers:{uri}: its image processor states no fixed size ({dict(size)})")
    return int(side)
