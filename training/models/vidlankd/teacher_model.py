"""The teacher: a language model trained from scratch, and a video tower that shares the space of its token vectors.

    from training.models.vidlankd.teacher_model import load_teacher
    teacher, tokenizer = load_teacher("runs/teacher/best")
    vectors = teacher.token_vectors(ids_BL, valid_BL)

`training.vidlankd.teacher.teacher_task` trains it on batches of `training.vidlankd.teacher.clip_text_batches`. The
student learns from its token vectors, and `training.vidlankd.grounding.word_grounding` searches clips with them. A
teacher's folder is flat: `config.json`, `model.safetensors` and the tokenizer's files.

Shapes: B rows (clips), L tokens, T rows of features, D their width, H hidden width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from torch.nn import functional as F

from runtime.errors import UserError, one_line
from training.engine.checkpoints.model_config import local_folder, read_config
from training.engine.checkpoints.model_folder import differences, load_weights, save_model
from training.models.vidlankd.bert_model import build_bert, hidden_states
from training.models.vidlankd.feature_tower import FeatureTower
from training.models.vidlankd.kd_model_formats import TEACHER_FORMAT
from training.models.vidlankd.kd_model_settings import BertShape, TeacherModelSettings
from training.models.vidlankd.text_tokenizer import TextTokenizer

TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")
"""Format of a teacher's folder."""
_REQUIRED_FACTS: Final = {"tokenizer": ("identity", "vocab_size", "pad"), "features": ("name", "encoder", "width")}


class FeatureFacts(Protocol):
    """Facts about a feature set that a teacher records; `training.features.feature_store.FeatureStore` has them."""

    @property
    def name(self) -> str:
        """Name of the feature set."""
        ...

    @property
    def encoder(self) -> str:
        """Encoder that made the features."""
        ...

    @property
    def width(self) -> int:
        """Width of a row."""
        ...


@dataclass(frozen=True)
class NoFeatures:
    """Features of a teacher whose video tower is never run (`loss.contrastive=0`)."""

    name: str = "none"
    encoder: str = "none"
    width: int = 1


class Teacher(nn.Module):
    """Language model and video tower."""

    def __init__(self, architecture: Mapping[str, Any]) -> None:
        """Build with random weights; the caller seeds them.

        Args:
            architecture: value of the property `architecture`.

        Raises:
            KeyError: an entry is missing.
            ValidationError: a number is out of range.
        """
        super().__init__()
        self._architecture = copy.deepcopy(dict(architecture))
        shape = BertShape.model_validate(architecture["text"])
        video, tokenizer, features = (architecture[name] for name in ("video", "tokenizer", "features"))
        self.text = build_bert(shape, tokenizer["vocab_size"], tokenizer["pad"])
        tower = shape.model_copy(update={"layers": video["layers"]})
        self.video = FeatureTower(tower, features["width"], video["max_rows"], video["projection"], video["frozen"])

    @property
    def architecture(self) -> dict[str, Any]:
        """Plain JSON that rebuilds this model, with the identity of its tokenizer and of its features."""
        return copy.deepcopy(self._architecture)

    @property
    def hidden(self) -> int:
        """Width of token and clip vectors."""
        return int(self._architecture["text"]["hidden"])

    @property
    def block(self) -> int:
        """Largest number of tokens of a clip's text, [CLS] and [SEP] included."""
        return int(self._architecture["block"])

    @property
    def max_rows(self) -> int:
        """Rows of the longest time series of a clip."""
        return self.video.max_rows

    def token_vectors(self, ids_BL: torch.Tensor, valid_BL: torch.Tensor) -> torch.Tensor:
        """Return the last hidden states with unit length, float32 [B, L, H]; those of padding are undefined."""
        return F.normalize(hidden_states(self.text, ids_BL, valid_BL).float(), dim=-1)

    def clip_vectors(self, video_BTD: torch.Tensor, frames_BT: torch.Tensor) -> torch.Tensor:
        """Return one vector of unit length per clip, float32 [B, H]; see `FeatureTower`."""
        vectors_BH: torch.Tensor = self.video(video_BTD, frames_BT)
        return vectors_BH


def build_teacher(settings: TeacherModelSettings, tokenizer: TextTokenizer, features: FeatureFacts) -> Teacher:
    """Build a teacher with random weights; the caller seeds them.

    Args:
        settings: its size.
        tokenizer: tokenizer of its texts.
        features: feature set that its video tower sees.
    """
    architecture = {
        "text": settings.shape.content(),
        "video": {
            "layers": settings.video_layers or settings.shape.layers,
            "max_rows": settings.max_rows,
            "projection": settings.projection,
            "frozen": settings.frozen_video,
        },
        "features": {"name": features.name, "encoder": features.encoder, "width": features.width},
        "tokenizer": _tokenizer_facts(tokenizer),
        "block": settings.block,
    }
    return Teacher(architecture)


def save_teacher(
    model: Teacher, tokenizer: TextTokenizer, folder: Path, weights: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Write a teacher with its tokenizer; an older teacher in the folder is replaced atomically.

    Raises:
        UserError: `folder` holds something else.
    """
    save_model(model, folder, TEACHER_FORMAT, model.architecture, write_beside=tokenizer.save, weights=weights)


def load_teacher(folder: str | Path, device: str | torch.device = "cpu") -> tuple[Teacher, TextTokenizer]:
    """Load a teacher that `save_teacher` wrote, in evaluation mode, and its tokenizer.

    Args:
        folder: a path, or a model URI.
        device: device of the model.

    Raises:
        UserError: there is no teacher, it has another version or is incomplete, or its weights or tokenizer do not
            match its architecture; the message lists the differences.
    """
    path = local_folder(folder)
    architecture = read_config(path, TEACHER_FORMAT)["architecture"]
    tokenizer = TextTokenizer.from_folder(path)
    try:
        model = _build(architecture, tokenizer, path)
    except (KeyError, TypeError, ValueError, RuntimeError, StrictDataclassError) as error:  # errors that damage causes
        raise UserError(
            f"model {path}: its architecture can't be read ({one_line(error)}); copy the folder again"
        ) from None
    load_weights(model, path)
    return model.to(device).eval(), tokenizer


def check_features(model: Teacher, features: FeatureFacts) -> None:
    """Refuse features of another encoder or width than the teacher was trained on.

    Raises:
        UserError: features differ (the message lists how), or the teacher was trained without features.
    """
    trained = model.architecture["features"]
    if trained["encoder"] == NoFeatures().encoder:
        raise UserError(
            f"features={features.name}: the teacher was trained with loss.contrastive=0, without features; "
            "name a teacher that was trained on features"
        )
    different = differences(
        {"encoder": trained["encoder"], "width": trained["width"]},
        {"encoder": features.encoder, "width": features.width},
    )
    if different:
        raise UserError(
            f"features={features.name}: not those of the teacher (teacher, given): {'; '.join(different)}; "
            f"use features extracted like {trained['name']!r}"
        )


def _build(architecture: Mapping[str, Any], tokenizer: TextTokenizer, folder: Path) -> Teacher:
    """Build a teacher with random weights after checking its tokenizer and that every required fact is present."""
    made_with, _ = ({name: architecture[part][name] for name in names} for part, names in _REQUIRED_FACTS.items())
    if made_with != _tokenizer_facts(tokenizer):
        raise UserError(
            f"model {folder}: its tokenizer files belong to another model ({tokenizer.vocab_size} entries; the "
            f"teacher's has {made_with['vocab_size']}); copy the folder again"
        )
    model = Teacher(architecture)
    if model.block < 3:
        raise ValueError(f"block={model.block}")
    return model


def _tokenizer_facts(tokenizer: TextTokenizer) -> dict[str, Any]:
    """Return the facts about a tokenizer that an architecture records."""
    return {"identity": tokenizer.identity, "vocab_size": tokenizer.vocab_size, "pad": tokenizer.pad}
