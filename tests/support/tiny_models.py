"""Tiny, randomly initialised models that vLLM serves: real architectures, real files, nothing to download.

Their answers are nonsense; tests check that an answer has the right key, follows the schema and depends
on the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

CORPUS = (
    "A man repairs a bicycle wheel on a wooden bench.",
    "The cook cuts three onions and drops them into the pan, then stirs.",
    "What do you see in this picture? Answer in one short sentence.",
    '{"text": "a red car", "evidence": [1, 2], "abstain": false}',
    "Summarise the speech of this clip in at most twenty-five words.",
)
CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|{{ message['role'] }}|>
{%- if message['content'] is string -%}
{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}<image>{%- else -%}{{ part['text'] }}{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|end|>
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
"""
_SPECIAL = ("<|end|>", "<pad>", "<unk>", "<image>", "<|system|>", "<|user|>", "<|assistant|>")


def tiny_tokenizer(chat_template: str | None = CHAT_TEMPLATE, special: Sequence[str] = _SPECIAL) -> Any:
    """Train a byte-level BPE tokenizer of 512 tokens; the first ids are `special`: end, padding, unknown, others."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=list(special[3:]),
        chat_template=chat_template,
        model_max_length=1024,
    )


def tiny_llm(folder: Path) -> Path:
    """Write a two-layer Llama with random weights (seed 0) and its tokenizer to `folder`."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(_llama_config()).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def tiny_vlm(folder: Path) -> Path:
    """Write a LLaVA (CLIP tower on 64-pixel images in patches of 16, two-layer Llama) with random weights (seed 0)."""
    import torch
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
        projection_dim=64,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=_llama_config(),
        image_token_index=_SPECIAL.index("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    _name_as_published(folder / "model.safetensors")
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, do_convert_rgb=True
        ),
        tokenizer=tiny_tokenizer(),
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
    processor.save_pretrained(folder)
    return folder


VIDEO_CHAT_TEMPLATE = CHAT_TEMPLATE.replace(
    "<image>{%- else -%}",
    "<|vision_start|><|image_pad|><|vision_end|>{%- elif part['type'] == 'video' -%}"
    "<|vision_start|><|video_pad|><|vision_end|>{%- else -%}",
)
_VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def tiny_video_vlm(folder: Path) -> Path:
    """Write a Qwen2-VL (two-layer towers, pictures and videos of at most 112 x 112) with random weights (seed 0)."""
    import torch
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = tiny_tokenizer(VIDEO_CHAT_TEMPLATE)
    tokenizer.add_special_tokens({"additional_special_tokens": list(_VISION)})
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(_VISION))
    text = {
        "vocab_size": 576, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 2048, "bos_token_id": None,
        "eos_token_id": _SPECIAL.index("<|end|>"), "pad_token_id": _SPECIAL.index("<pad>"),
        "rope_parameters": {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0},
    }  # fmt: skip
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14}
    config = Qwen2VLConfig(
        text_config=text, vision_config=vision, image_token_id=image, video_token_id=video,
        vision_start_token_id=start, vision_end_token_id=end, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    pixels = {"min_pixels": 56 * 56, "max_pixels": 112 * 112}
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        video_processor=Qwen2VLVideoProcessor(**pixels),
        tokenizer=tokenizer,
        chat_template=VIDEO_CHAT_TEMPLATE,
    )
    processor.save_pretrained(folder)
    return folder


def _name_as_published(weights: Path) -> None:
    """Rename CLIP's parameters to the names in published LLaVA checkpoints, which vLLM expects."""
    from safetensors.torch import load_file, save_file

    old, new = "vision_tower.", "vision_tower.vision_model."
    tensors = {
        name.replace(old, new) if old in name and new not in name else name: tensor
        for name, tensor in load_file(weights).items()
    }
    save_file(tensors, weights, metadata={"format": "pt"})


def _llama_config() -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=_SPECIAL.index("<|end|>"),
        pad_token_id=_SPECIAL.index("<pad>"),
        tie_word_embeddings=False,
    )
