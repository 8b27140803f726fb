"""The teacher: a language model from scratch and a video tower whose vectors meet its token vectors.

    from training.models.vidlankd.teacher_model import load_teacher
    teacher, tokenizer = load_teacher("runs/teacher/best")
    vectors = teacher.token_vectors(ids_BL, valid_BL)

Trained by `training.vidlankd.teacher.teacher_task` on batches of `training.vidlankd.teacher.clip_text_batches`; the student learns from its
token vectors, `training.vidlankd.grounding.word_grounding` looks for clips with them. A teacher's folder is flat: `config.json`,
`model.safetensors` and the tokenizer's files.

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
from training.engine.model_folder import ModelFormat, differences, load_weights, local_folder, read_config, save_model
from training.models.vidlankd.bert_model import build_bert, hidden_states
from training.models.vidlankd.feature_tower import FeatureTower
from training.models.vidlankd.kd_model_settings import BertShape, TeacherModelSettings
from training.models.vidlankd.text_tokenizer import TextTokenizer

TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json")
FORMAT: Final = ModelFormat("vidlankd-teacher", version=1, beside=TOKENIZER_FILES)
"""What a teacher's folder is told by."""
_STATED: Final = {"tokenizer": ("identity", "vocab_size", "pad"), "features": ("name", "encoder", "width")}


class FeatureFacts(Protocol):
    """What a teacher must know of the features it sees; `training.features.feature_store.FeatureStore` has it."""

    @property
    def name(self) -> str:
        """Of the feature set."""
        ...

    @property
    def encoder(self) -> str:
        """What made them."""
        ...

    @property
    def width(self) -> int:
        """Numbers in a row."""
        ...


@dataclass(frozen=True)
class NoFeatures:
    """Stands for the features of a teacher whose video tower is never run (`loss.contrastive=0`)."""

    name: str = "none"
    encoder: str = "none"
    width: int = 1


class Teacher(nn.Module):
    """Language model and video tower."""

    def __init__(self, architecture: Mapping[str, Any]) -> None:
        """Build with random weights; the caller seeds them.

        Args:
            architecture: as `architecture` gives it.

        Raises:
            KeyError: something is missing of it.
            ValidationError: a number in it can't be.
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
        """All that rebuilds this model, as plain JSON, with the identity of its tokenizer and of its features."""
        return copy.deepcopy(self._architecture)

    @property
    def hidden(self) -> int:
        """Width of token and clip vectors."""
        return int(self._architecture["text"]["hidden"])

    @property
    def block(self) -> int:
        """Tokens of a clip's text that it was made for, [CLS] and [SEP] included."""
        return int(self._architecture["block"])

    @property
    def max_rows(self) -> int:
        """Longest time series of a clip."""
        return self.video.max_rows

    def token_vectors(self, ids_BL: torch.Tensor, valid_BL: torch.Tensor) -> torch.Tensor:
        """Last hidden states of unit length, float32 [B, L, H]; those of padding mean nothing."""
        return F.normalize(hidden_states(self.text, ids_BL, valid_BL).float(), dim=-1)

    def clip_vectors(self, video_BTD: torch.Tensor, frames_BT: torch.Tensor) -> torch.Tensor:
        """One vector of unit length a clip, float32 [B, H]; see `FeatureTower`."""
        vectors_BH: torch.Tensor = self.video(video_BTD, frames_BT)
        return vectors_BH


def build_teacher(settings: TeacherModelSettings, tokenizer: TextTokenizer, features: FeatureFacts) -> Teacher:
    """A teacher with random weights; the caller seeds them.

    Args:
        settings: its size.
        tokenizer: of its texts.
        features: what its video tower sees.
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
        "tokenizer": _facts(tokenizer),
        "block": settings.block,
    }
    return Teacher(architecture)


def save_teacher(model: Teacher, tokenizer: TextTokenizer, folder: Path) -> None:
    """Write a teacher with its tokenizer; an older one at that place is replaced, at once or not at all.

    Raises:
        UserError: something else lies at `folder`.
    """
    save_model(model, folder, FORMAT, model.architecture, write_beside=tokenizer.save)


def load_teacher(folder: str | Path, device: str | torch.device = "cpu") -> tuple[Teacher, TextTokenizer]:
    """A teacher that `save_teacher` wrote, in evaluation mode, and its tokenizer.

    Args:
        folder: a path, or a model URI.
        device: where to put it.

    Raises:
        UserError: no teacher lies there, one of another version, one cut short, weights or a tokenizer that are not
            those of its architecture; what differs is listed.
    """
    path = local_folder(folder)
    architecture = read_config(path, FORMAT)["architecture"]
    tokenizer = TextTokenizer.from_folder(path)
    try:
        model = _built(architecture, tokenizer, path)
    except (KeyError, TypeError, ValueError, RuntimeError, StrictDataclassError) as error:  # what damage leads to
        raise UserError(
            f"model {path}: its architecture can't be read ({one_line(error)}); copy the folder again"
        ) from None
    load_weights(model, path)
    return model.to(device).eval(), tokenizer


def check_features(model: Teacher, features: FeatureFacts) -> None:
    """Refuse features of another encoder or width than the teacher was trained on.

    Raises:
        UserError: with the differences, or as the teacher never saw any.
    """
    trained = model.architecture["features"]
    if trained["encoder"] == NoFeatures().encoder:
        raise UserError(
            f"features={features.name}: the teacher was trained with loss.contrastive=0 and never saw any; "
            "name a teacher that was trained on features"
        )
    found = differences(
        {"encoder": trained["encoder"], "width": trained["width"]},
        {"encoder": features.encoder, "width": features.width},
    )
    if found:
        raise UserError(
            f"features={features.name}: not those of the teacher (teacher, given): {'; '.join(found)}; "
            f"take features made as {trained['name']!r} was"
        )


def _built(architecture: Mapping[str, Any], tokenizer: TextTokenizer, folder: Path) -> Teacher:
    """A teacher of random weights, with the tokenizer that lies beside it; all that will be read of it is there."""
    made_with, _ = ({name: architecture[part][name] for name in names} for part, names in _STATED.items())
    if made_with != _facts(tokenizer):
        raise UserError(
            f"model {folder}: the tokenizer beside it is another ({tokenizer.vocab_size} entries, it was made with "
            f"{made_with['vocab_size']}); copy the folder again"
        )
    model = Teacher(architecture)
    if model.block < 3:
        raise ValueError(f"block={model.block}")
    return model


def _facts(tokenizer: TextTokenizer) -> dict[str, Any]:
    """What an architecture says of its tokenizer."""
    return {"identity": tokenizer.identity, "vocab_size": tokenizer.vocab_size, "pad": tokenizer.pad}
