"""Finetuning with a classification head as a training task: frames and class indices in, cross-entropy out.

Classes pass through the data path as texts: the loader's tokenizer is a `LabelTokenizer`, so a batch's tokens of the
term `label` are the indices of its classes, and `present["label"]` is True for rows with a class. The loss is the mean
over these rows of the global batch.

Shapes: B clips, P clips of a micro-batch, T frames, S pixels, C colours, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn import functional as F

from runtime.errors import UserError, nearest
from training.data.clip_batch import ClipBatch
from training.engine.engine_settings import ComputeSettings
from training.engine.global_step import GlobalStep
from training.engine.parallel.distributed import Ranks, to_device
from training.engine.parallel.sync_gradients import wrap_ddp
from training.engine.precision import choose_precision, evaluation_mode
from training.engine.training_task import StepReport
from training.models.vidla.classification_head import (
    ClassificationHead,
    VideoClassifier,
    load_head,
    save_head,
    width_of,
)
from training.models.vidla.model_settings import HeadSettings
from training.models.vidla.tower_batches import clips_of
from training.models.vidla.two_tower import VidLA
from training.models.vidla.vidla_folder import save

TERM: Final = "label"
"""Name of the term that carries the class, in `ClipTask.texts` and `ClipBatch.tokens`."""

_ACCURACY: Final = "train_top1"


class LabelTokenizer:
    """Replaces the text tokenizer: class names → int64 [B, 1] indices, -1 for an empty text."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._indices = {name: index for index, name in enumerate(classes)}

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return indices [B, 1].

        Raises:
            UserError: a text is not a class.
        """
        return torch.tensor([[self._index(text)] for text in texts], dtype=torch.int64).reshape(-1, 1)

    def _index(self, text: str) -> int:
        if not text:
            return -1
        if text not in self._indices:
            raise UserError(f"class {text!r}: not among the {len(self._indices)} classes{nearest(text, self._indices)}")
        return self._indices[text]


class ClassificationTask:
    """Implements `training.engine.training_task.TrainingTask`."""

    best_by = "top1"
    unit = "clips"

    def __init__(
        self,
        model: VidLA,
        classes: Sequence[str],
        settings: HeadSettings,
        compute: ComputeSettings,
        ranks: Ranks,
        evaluate: Callable[[VideoClassifier], Mapping[str, float]] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a new head on the model's video tower, on this rank's device.

        Args:
            model: its text tower is not trained, and saved with the rest.
            classes: names in the order of their indices.
            settings: of head and loss.
            compute: precision, micro-batches, compilation.
            ranks: the processes that take part.
            evaluate: returns scores on held-out videos, `top1` among them.
            facts: plain values saved with the head (benchmark, sampling, frames).
        """
        self._model = model.to(ranks.device)
        head = ClassificationHead(width_of(model.video), classes, settings.dropout)
        self.module = VideoClassifier(model.video, head.to(ranks.device)).train()
        self._smoothing = settings.label_smoothing
        self._ranks = ranks
        self._micro_batch = compute.micro_batch
        self._precision = choose_precision(compute.precision, ranks.device)
        self._evaluate = evaluate
        self._facts = dict(facts or {})
        if compute.compile:
            self.module.compile()
        self._wrapped = wrap_ddp(self.module, ranks)
        self._global_step = GlobalStep(self.module, ranks, {TERM: 1.0}, self._wrapped)

    @property
    def stored(self) -> VidLA:
        """Return the model whose weights are saved."""
        return self._model

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Plain values that rebuild the model, and the classes."""
        return {**self._model.architecture, "classes": list(self.module.head.classes)}

    @property
    def precision(self) -> str:
        """Return the arithmetic, as the setting names it."""
        return self._precision.name

    def is_new(self, parameter: str) -> bool:
        """Return True for the head's parameters: finetuning starts from a trained VidLA with everything else."""
        return parameter.startswith("head.")

    def step(self, batch: ClipBatch) -> StepReport:
        """Run forward and backward of the global batch; see `training.engine.training_task.TrainingTask.step`."""
        parts = list(batch.split(self._micro_batch or len(batch)))
        rows = batch.present[TERM].sum()
        counts = self._global_step.counts({TERM: rows, _ACCURACY: rows})
        return self._global_step.run(parts, self._terms, counts, batch.keys)

    def after_step(self) -> None:
        """Nothing follows a step."""

    def flops(self, batch: ClipBatch) -> float:
        """Return the operations of forward and backward of the decoded clips of this rank's batch."""
        return batch.usable * self.module.video.step_flops(int(batch.length_B[0]))

    def evaluate(self) -> Mapping[str, float]:
        """Return the accuracy on held-out videos; empty if there are none."""
        if self._evaluate is None:
            return {}
        with evaluation_mode(self.module, self._precision, self._ranks.device):
            return self._evaluate(self.module)

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write the export and the head beside it."""
        save(self._model, folder, weights=weights)
        save_head(self.module.head, folder, self._facts)

    def restore(self, folder: Path) -> None:
        """Read the head."""
        head = load_head(folder, width_of(self._model.video))
        self.module.head.load_state_dict(head.state_dict())

    def header(self) -> str:
        """Return one line about the model for the log's header."""
        parameters = sum(parameter.numel() for parameter in self.module.parameters() if parameter.requires_grad)
        classes = len(self.module.head.classes)
        return f"{parameters / 1e6:.1f} M parameters trained, {classes} classes, {self._precision}"

    def _terms(self, part: ClipBatch) -> dict[str, torch.Tensor]:
        """Return the cross-entropy summed over the present rows, and the number of correct ones."""
        device = self._ranks.device
        video_PTCHW = clips_of(part, self._model, device)
        label_P = to_device(part.tokens[TERM], device)[:, 0].clamp(min=0)
        present_P = to_device(part.present[TERM], device)
        with self._precision.autocast(device):
            logits_PK = self._wrapped(video_PTCHW)
        losses_P = F.cross_entropy(logits_PK.float(), label_P, reduction="none", label_smoothing=self._smoothing)
        correct_P = (logits_PK.detach().argmax(1) == label_P) & present_P
        return {TERM: torch.where(present_P, losses_P, 0).sum(), _ACCURACY: correct_P.sum().float()}
