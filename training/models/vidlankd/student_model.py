"""The student: BERT, with a head for each objective that compares its states with the teacher's.

`training.vidlankd.student.student_task` trains it, and `training.vidlankd.bert_export` exports its language model.
Heads (Linear-GELU-LayerNorm-Linear, on the student only, as in the paper's section 3.3) serve training and grounding;
the model has those of the objectives it is trained with. CRD's queue is part of the model, so that it is saved with it.

Shapes: B rows, L tokens, H width of the student, G width of the teacher, M chosen positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from runtime.errors import UserError, one_line
from training.engine.checkpoints.model_config import local_folder, read_config
from training.engine.checkpoints.model_folder import load_weights, save_model
from training.models.vidlankd.bert_model import build_bert, hidden_states, mlm_logits
from training.models.vidlankd.kd_model_formats import STUDENT_FORMAT
from training.models.vidlankd.kd_model_settings import BertShape
from training.models.vidlankd.losses import TokenQueue
from training.models.vidlankd.objectives.student_loss_weights import OBJECTIVES
from training.models.vidlankd.text_tokenizer import TextTokenizer

"""Format of a student's folder."""


@dataclass(frozen=True)
class Distillation:
    """Parts of a student that only distillation needs."""

    heads: tuple[str, ...]
    """Objectives that have a head, in order."""
    teacher_width: int
    """G: width of the teacher's states."""
    queue: int = 0
    """Length of CRD's queue of teacher vectors; 0 without CRD."""
    teacher: str = ""
    """Identity of the teacher's weights; empty if it was not recorded."""


class Student(nn.Module):
    """A language model with heads and a queue for distillation."""

    steps: torch.Tensor
    """int64 scalar: number of training steps done."""

    def __init__(self, shape: BertShape, tokenizer: TextTokenizer, distillation: Distillation | None = None) -> None:
        """Draw new weights from torch's random state.

        Args:
            shape: layers and widths.
            tokenizer: tokenizer of the corpus; the model keeps its size and identity only.
            distillation: heads and queue; None for a student of text alone.

        Raises:
            ValueError: `distillation` names an unknown head.
        """
        super().__init__()
        self.text = build_bert(shape, tokenizer.vocab_size, tokenizer.pad)
        self._shape, self._tokenizer, self._distillation = shape, tokenizer.identity, distillation
        names = distillation.heads if distillation else ()
        width = distillation.teacher_width if distillation else 0
        self.heads = nn.ModuleDict({name: _head(name, shape.hidden, width) for name in names})
        self.queue = TokenQueue(distillation.queue, width) if distillation and distillation.queue else None
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def teacher(self) -> str | None:
        """Identity of the weights of its teacher; None if it has none or none was recorded."""
        return (self._distillation.teacher or None) if self._distillation else None

    @property
    def architecture(self) -> dict[str, Any]:
        """Plain values that, with the tokenizer's files, rebuild the model."""
        distillation = self._distillation
        return {
            "shape": self._shape.content(),
            "tokenizer": self._tokenizer,
            "distillation": asdict(distillation) | {"heads": list(distillation.heads)} if distillation else None,
        }

    def forward(
        self, ids_BL: torch.Tensor, valid_BL: torch.Tensor, selected_M: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """Compute everything that the objectives need, in one pass.

        Args:
            ids_BL: tokens, with those to be predicted masked.
            valid_BL: false on padding.
            selected_M: positions of the flattened batch to predict; None: predict nothing.

        Returns:
            Logits [M, V] under ``mlm`` if positions are given, and each head's output [B, L, H or G] under its
            objective.
        """
        hidden_BLH = hidden_states(self.text, ids_BL, valid_BL)
        outputs = {name: head(hidden_BLH) for name, head in self.heads.items()}
        if selected_M is not None:
            outputs["mlm"] = mlm_logits(self.text, hidden_BLH.flatten(0, 1)[selected_M])
        return outputs

    def predict(self, ids_BL: torch.Tensor, valid_BL: torch.Tensor, selected_M: torch.Tensor) -> torch.Tensor:
        """Return the logits [M, V] at chosen positions of the flattened batch, without computing heads."""
        return mlm_logits(self.text, hidden_states(self.text, ids_BL, valid_BL).flatten(0, 1)[selected_M])


def save_student(
    model: Student,
    tokenizer: TextTokenizer,
    folder: Path,
    extra: Mapping[str, Any] | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a student with its heads and queue, and the tokenizer's files.

    Args:
        model: the student.
        tokenizer: the tokenizer that it was built for.
        folder: target; an older student there is replaced.
        extra: plain JSON to store with the architecture (step, scores).
        weights: values to write in place of the model's; empty: no weights are written.

    Raises:
        UserError: `folder` holds something else.
    """
    save_model(model, folder, STUDENT_FORMAT, model.architecture, extra, tokenizer.save, weights)


def load_student(folder: str | Path, device: str | torch.device = "cpu") -> tuple[Student, TextTokenizer]:
    """Load a student that `save_student` wrote, in evaluation mode, and its tokenizer.

    Args:
        folder: a path, or a model URI.
        device: device of the model.

    Raises:
        UserError: there is no student, it has another version or is incomplete, or weights, tokenizer and architecture
            do not belong together.
    """
    path = local_folder(folder)
    values = read_config(path, STUDENT_FORMAT)["architecture"]
    tokenizer = TextTokenizer.from_folder(path)
    try:
        model, identity = _build(values, tokenizer), values["tokenizer"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # errors that a damaged number or name causes
        raise UserError(
            f"model {path}: its architecture can't be read ({one_line(error)}); copy the folder again"
        ) from None
    if tokenizer.identity != identity:
        raise UserError(f"model {path}: its tokenizer files belong to another model; copy the folder again")
    load_weights(model, path)
    return model.to(device).eval(), tokenizer


def _build(architecture: Mapping[str, Any], tokenizer: TextTokenizer) -> Student:
    stored = architecture["distillation"]
    distillation = Distillation(**{**stored, "heads": tuple(stored["heads"])}) if stored else None
    return Student(BertShape.model_validate(architecture["shape"]), tokenizer, distillation)


def _head(name: str, width: int, teacher_width: int) -> nn.Module:
    """Build the head of an objective; the losses normalise its vectors."""
    kind = OBJECTIVES[name].head if name in OBJECTIVES else None
    if kind is None:
        raise ValueError(f"there is no head {name!r}")
    if kind == "regressor":
        return nn.Linear(width, teacher_width)
    out = width if kind == "student_width" else teacher_width
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, out))
