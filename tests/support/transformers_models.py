"""Tiny two-tower models of transformers on disk, with tokenizer and image processor, as hubs publish them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    XCLIPConfig,
    XCLIPModel,
)

WORDS = ("<pad>", "<unk>", "<bos>", "<eos>", "a", "red", "car", "video")
CONTEXT, SIDE = 16, 32
TEXT = {"vocab_size": len(WORDS), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": CONTEXT, "bos_token_id": 2, "eos_token_id": 3,
        "pad_token_id": 0, "projection_dim": 16}  # fmt: skip
VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
          "image_size": SIDE, "patch_size": 16, "projection_dim": 16}  # fmt: skip
XCLIP = {"num_frames": 4, "mit_hidden_size": 16, "mit_intermediate_size": 16, "mit_num_hidden_layers": 1,
         "mit_num_attention_heads": 2}  # fmt: skip


def transformers_folder(folder: Path, kind: str) -> Path:
    """Write a `clip`, `siglip`, `xclip` or `bert` with random weights into a folder of that name."""
    torch.manual_seed(0)
    made = {
        "clip": lambda: CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=16)),
        "siglip": lambda: SiglipModel(SiglipConfig(text_config=TEXT, vision_config=VISION)),
        "xclip": lambda: XCLIPModel(
            XCLIPConfig(text_config=TEXT, vision_config=VISION | XCLIP, projection_dim=16, prompt_num_attention_heads=2)
        ),
        "bert": lambda: BertModel(BertConfig(vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1,
                                             num_attention_heads=2, intermediate_size=16)),
    }[kind]()  # fmt: skip
    path = folder / kind
    made.save_pretrained(path)
    _tokenizer(mask=kind != "siglip").save_pretrained(path)
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(path)
    return path


def _tokenizer(mask: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<bos> $A <eos>", None, [("<bos>", 2), ("<eos>", 3)])
    names = ["input_ids", "attention_mask"] if mask else ["input_ids"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<bos>", eos_token="<eos>",
        model_input_names=names,
    )  # fmt: skip
