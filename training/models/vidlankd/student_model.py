"""The student: BERT, with a head for each objective that makes its states comparable with the teacher's.

`training.vidlankd.student.student_task` trains it; `training.vidlankd.bert_export` takes its language model out. The heads
(Linear-GELU-LayerNorm-Linear, of the student alone, as in the paper's section 3.3) serve training and grounding; only
those exist whose objective is trained. The queue of CRD lies in the model, so that it is saved with it.

Shapes: B rows, L tokens, H width of the student, G width of the teacher, M chosen positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from runtime.errors import UserError, one_line
from training.engine.model_folder import ModelFormat, load_weights, local_folder, read_config, save_model
from training.models.vidlankd.bert_model import build_bert, hidden_states, mlm_logits
from training.models.vidlankd.kd_model_settings import BertShape
from training.models.vidlankd.losses import TokenQueue
from training.models.vidlankd.objectives.student_loss_weights import OBJECTIVES
from training.models.vidlankd.text_tokenizer import TextTokenizer

FORMAT: Final = ModelFormat("vidlankd-student", 1, beside=("tokenizer.json", "tokenizer_config.json"))
"""A folder of a student."""


@dataclass(frozen=True)
class Distillation:
    """What of a student serves distillation."""

    heads: tuple[str, ...]
    """Objectives that have a head, in order."""
    teacher_width: int
    """G."""
    queue: int = 0
    """Teacher vectors that CRD takes its negatives from; 0 without CRD."""
    teacher: str = ""
    """Identity of the teacher's weights; empty where it was not noted down."""


class Student(nn.Module):
    """A language model and what it is distilled with."""

    steps: torch.Tensor
    """int64 scalar: training steps done."""

    def __init__(self, shape: BertShape, tokenizer: TextTokenizer, distillation: Distillation | None = None) -> None:
        """Draw new weights from torch's random state.

        Args:
            shape: layers and widths.
            tokenizer: of the corpus; the model keeps its size and identity, not itself.
            distillation: heads and queue; None for a student of text alone.

        Raises:
            ValueError: `distillation` names a head that there is none of.
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
        """Identity of the weights of the teacher that it follows; None where it has none or none was noted down."""
        return (self._distillation.teacher or None) if self._distillation else None

    @property
    def architecture(self) -> dict[str, Any]:
        """Plain values that rebuild the model, beside the tokenizer's files."""
        distilled = self._distillation
        return {
            "shape": self._shape.content(),
            "tokenizer": self._tokenizer,
            "distillation": asdict(distilled) | {"heads": list(distilled.heads)} if distilled else None,
        }

    def forward(
        self, ids_BL: torch.Tensor, valid_BL: torch.Tensor, selected_M: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """All that the objectives need, in one pass.

        Args:
            ids_BL: tokens, masked where something is to be predicted.
            valid_BL: false on padding.
            selected_M: positions of the flattened batch at which the vocabulary is predicted; None: nowhere.

        Returns:
            ``mlm``: logits [M, V], where positions were given; by the name of each head's objective: [B, L, H or G].
        """
        hidden_BLH = hidden_states(self.text, ids_BL, valid_BL)
        found = {name: head(hidden_BLH) for name, head in self.heads.items()}
        if selected_M is not None:
            found["mlm"] = mlm_logits(self.text, hidden_BLH.flatten(0, 1)[selected_M])
        return found

    def predict(self, ids_BL: torch.Tensor, valid_BL: torch.Tensor, selected_M: torch.Tensor) -> torch.Tensor:
        """Logits [M, V] at chosen positions of the flattened batch, without any head."""
        return mlm_logits(self.text, hidden_states(self.text, ids_BL, valid_BL).flatten(0, 1)[selected_M])


def save_student(
    model: Student, tokenizer: TextTokenizer, folder: Path, extra: Mapping[str, Any] | None = None
) -> None:
    """Write a student with its heads and queue, and the tokenizer's files beside it.

    Args:
        model: what to write.
        tokenizer: the one that it was built for.
        folder: where; an older student there is replaced.
        extra: plain JSON to keep beside the architecture (step, scores).

    Raises:
        UserError: something else lies at `folder`.
    """
    save_model(model, folder, FORMAT, model.architecture, extra, tokenizer.save)


def load_student(folder: str | Path, device: str | torch.device = "cpu") -> tuple[Student, TextTokenizer]:
    """A student that `save_student` wrote, in evaluation mode, with its tokenizer.

    Args:
        folder: a path, or a model URI.
        device: where to put it.

    Raises:
        UserError: no student lies there, it is of another version or cut short, or weights, tokenizer and architecture
            don't belong together.
    """
    path = local_folder(folder)
    values = read_config(path, FORMAT)["architecture"]
    tokenizer = TextTokenizer.from_folder(path)
    try:
        model, identity = _built(values, tokenizer), values["tokenizer"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # all that a damaged number or name leads to
        said = one_line(error)
        raise UserError(f"model {path}: its architecture can't be read ({said}); copy the folder again") from None
    if tokenizer.identity != identity:
        raise UserError(f"model {path}: the tokenizer beside it is not its own; copy the folder again")
    load_weights(model, path)
    return model.to(device).eval(), tokenizer


def _built(architecture: Mapping[str, Any], tokenizer: TextTokenizer) -> Student:
    distilled = architecture["distillation"]
    distillation = Distillation(**{**distilled, "heads": tuple(distilled["heads"])}) if distilled else None
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
