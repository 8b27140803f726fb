"""A trained model as a folder that `transformers` opens without code of ours on the hub.

`config.json` and `model.safetensors` are those of our own folders, with `model_type` added, so `train-vidla --init` and
`eval-vidla --checkpoint` read the folder too. Beside them are the files of an image processor and of a tokenizer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from open_clip.tokenizer import SimpleTokenizer
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPProcessor, CLIPTokenizer, PreTrainedTokenizerBase

from shards.storage.files import empty_or_new_folder
from training.models.vidla import vidla_folder
from training.models.vidla.transformers_model import MODEL_TYPE, VidLAModel
from training.models.vidla.two_tower import VidLA
from training.vidla.delivery import README

_SPECIAL: Final = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
"""The names that transformers has for open_clip's special tokens."""
_BILINEAR: Final = 2
"""PIL's number of the filter that `training.data.decoding.model_input` scales with."""


def write_transformers_folder(source: Path, folder: Path, card: str) -> VidLA:
    """Write a model, its processor and its card; return the model.

    Args:
        source: folder of a trained model (``RUN/best``).
        folder: to write; must be new, empty or an earlier export.
        card: contents of ``README.md``.

    Raises:
        UserError: `source` holds no model, or `folder` holds something else.
    """
    model = vidla_folder.load(source)
    extra = vidla_folder.read_config(source)["extra"]
    with empty_or_new_folder(folder) as partial:
        vidla_folder.save(model, partial, extra)
        _name_the_class(partial / vidla_folder.CONFIG)
        _processor(model, partial).save_pretrained(partial)
        (partial / README).write_text(card, encoding="utf-8")
    return model


def _name_the_class(path: Path) -> None:
    """Add to `config.json` what transformers chooses a class by."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"model_type": MODEL_TYPE, "architectures": [VidLAModel.__name__]}
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _processor(model: VidLA, folder: Path) -> CLIPProcessor:
    """Return the image processor and the tokenizer of a model; `folder` holds the files of a Hugging Face tokenizer."""
    side = {"height": model.image_size, "width": model.image_size}
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": model.image_size},
        crop_size=side,
        image_mean=list(model.mean),
        image_std=list(model.std),
        resample=_BILINEAR,
    )
    return CLIPProcessor(pictures, _tokenizer(model, folder))


def _tokenizer(model: VidLA, folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer as a class of transformers; CLIP's has the vocabulary and the merges of open_clip's."""
    context = model.tokenizer.context
    if "hf_tokenizer_name" in model.tokenizer.text_cfg:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, model_max_length=context)
        return tokenizer
    own = SimpleTokenizer()
    vocabulary = {_SPECIAL.get(token, token): number for token, number in own.encoder.items()}
    return CLIPTokenizer(vocab=vocabulary, merges=list(own.bpe_ranks), model_max_length=context)
