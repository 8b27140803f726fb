"""A tiny, randomly initialised Qwen2-VL: unlike LLaVA it takes videos, and any number of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from support.tiny_models import CHAT_TEMPLATE, tiny_tokenizer

_SPECIAL: Final = (
    "<|end|>", "<pad>", "<unk>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
    "<|system|>", "<|user|>", "<|assistant|>",
)  # fmt: skip
_TEMPLATE: Final = CHAT_TEMPLATE.replace(
    "<image>{%- else -%}",
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif part['type'] == 'video' -%}<|vision_start|><|video_pad|><|vision_end|>{%- else -%}",
)
_PIXELS: Final = {"shortest_edge": 56 * 56, "longest_edge": 56 * 56}
"""Of a picture, and of all frames of a video together."""


def tiny_video_model(folder: Path) -> Path:
    """Write a Qwen2-VL of two layers, in the picture tower too, with random weights (seed 0) to `folder`."""
    import torch
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    vision = {"depth": 2, "embed_dim": 64, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14}
    ids = {name.strip("<|>"): number for number, name in enumerate(_SPECIAL)}
    config = Qwen2VLConfig(
        text_config=_text_config(),
        vision_config=vision | {"spatial_merge_size": 2, "temporal_patch_size": 2},
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=_PIXELS),
        video_processor=Qwen2VLVideoProcessor(size=_PIXELS),
        tokenizer=tiny_tokenizer(_TEMPLATE, _SPECIAL),
        chat_template=_TEMPLATE,
    )
    processor.save_pretrained(folder)
    return folder


def _text_config() -> dict[str, Any]:
    rope = {"rope_type": "default", "type": "mrope", "mrope_section": [4, 6, 6], "rope_theta": 10000.0}
    return {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "bos_token_id": None,
        "eos_token_id": _SPECIAL.index("<|end|>"),
        "pad_token_id": _SPECIAL.index("<pad>"),
        "tie_word_embeddings": False,
        "rope_parameters": rope,
    }
