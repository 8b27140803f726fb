"""The student's training task: gradients of masked language modelling and of the distillation objectives.

Every term is a mean over the global batch: counts of masked tokens, rows and valid tokens are summed over the ranks
first, so micro-batches and ranks change nothing but rounding. CRD's queue starts empty. All tokens of the first batches
fill it; its normaliser is then fixed on the next batch, and each step adds one random token per block.

Shapes: B rows, L tokens, H width of the student, G width of the teacher, M masked positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from runtime.errors import UserError
from runtime.log import get_logger
from training.engine.engine_settings import ComputeSettings
from training.engine.global_step import GlobalStep
from training.engine.parallel.distributed import Ranks, sum_over, to_device
from training.engine.parallel.sync_gradients import wrap_ddp
from training.engine.precision import choose_precision, evaluation_mode
from training.engine.training_task import StepReport
from training.models.vidlankd.kd_model_settings import StudentModelSettings
from training.models.vidlankd.losses import crd_normaliser, masked_lm
from training.models.vidlankd.objectives.objective import Target
from training.models.vidlankd.objectives.student_loss_weights import OBJECTIVES, StudentLossSettings, objective_sums
from training.models.vidlankd.student_model import Distillation, Student, save_student
from training.models.vidlankd.text_batch import IGNORED, TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.student.queue_sampling import QueueSampler
from training.vidlankd.student.student_flops import step_flops
from training.vidlankd.student.teacher_states import TeacherStates

SETTING: Final = "loss"
"""Name of `StudentLossSettings` in a run's settings, for messages."""

_log = get_logger(__name__)


def build_student(
    settings: StudentModelSettings, loss: StudentLossSettings, tokenizer: TextTokenizer, states: TeacherStates | None
) -> Student:
    """Build a student with the heads and the queue that its objectives need; weights from torch's random state.

    Raises:
        UserError: an objective needs a teacher and none is set.
    """
    if states is None:
        if loss.distilling:
            settings_named = ", ".join(f"{SETTING}.{name}={loss.weights[name]:g}" for name in loss.distilling)
            raise UserError(
                f"{settings_named}: needs a teacher and teacher.teacher is not set; name a teacher's folder, or set "
                f"{' '.join(f'{SETTING}.{name}=0' for name in loss.distilling)} for a student of text alone"
            )
        return Student(settings.shape, tokenizer)
    if not loss.distilling:
        _log.warning("teacher.teacher is set and every weight of distillation is 0: the teacher is not used")
        return Student(settings.shape, tokenizer)
    queue = loss.queue if loss.crd > 0 else 0
    return Student(settings.shape, tokenizer, Distillation(loss.heads, states.width, queue, states.identity))


class StudentTask:
    """Training of a student; implements `training.engine.training_task.TrainingTask`."""

    best_by = "mlm_accuracy"
    unit = "blocks"

    def __init__(
        self,
        model: Student,
        tokenizer: TextTokenizer,
        loss: StudentLossSettings,
        compute: ComputeSettings,
        ranks: Ranks,
        *,
        states: TeacherStates | None = None,
        held_out: Iterable[TextBatch] = (),
        seed: int = 0,
    ) -> None:
        """Put the model on this rank's device and wrap it in DDP.

        Args:
            model: a student from `build_student`, with the same weights on every rank.
            tokenizer: tokenizer that is saved with the model.
            loss: weights and temperatures.
            compute: precision, micro-batches, compilation.
            ranks: the processes of the run.
            states: states of the teacher; None for text alone.
            held_out: batches to score, the same on every rank; iterated at each evaluation.
            seed: seed of the tokens drawn for the queue.

        Raises:
            UserError: `soft_labels` is combined with cached states.
        """
        if states is not None and states.cached and loss.soft_labels > 0:
            raise UserError(
                f"{SETTING}.soft_labels={loss.soft_labels:g}: needs the teacher's predictions, which teacher.cache "
                f"does not hold; leave the cache out, or set {SETTING}.soft_labels=0"
            )
        self.module: Student = model.to(ranks.device).train()
        self._tokenizer, self._loss, self._ranks = tokenizer, loss, ranks
        self._states = states if loss.distilling else None
        self._held_out = held_out
        self._micro_batch = compute.micro_batch
        self._precision = choose_precision(compute.precision, ranks.device)
        if compute.compile:
            self.module.text.bert.compile()
        if not loss.predicts:
            _freeze_predictions(self.module)
            _log.warning("%s.mlm=0: no token is predicted, so there are no scores; use the last checkpoint", SETTING)
        self._trained = wrap_ddp(_TrainedPart(self.module), ranks)
        self._global_step = GlobalStep(self.module, ranks, loss.weights, self._trained)
        self._queue_sampler = QueueSampler(self.module.queue, ranks, seed) if self.module.queue is not None else None
        self._fixed_normaliser: torch.Tensor | None = None  # Z on the CPU, once it is computed

    @property
    def stored(self) -> nn.Module:
        """Return the model whose weights are saved."""
        return self.module

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Plain values that rebuild the model and identify its teacher."""
        return {**self.module.architecture, "teacher": self._states.facts if self._states else None}

    @property
    def precision(self) -> str:
        """Return the arithmetic, as the setting names it."""
        return self._precision.name

    def is_new(self, parameter: str) -> bool:
        """Return False: no parameter is newer than the others, as all are trained from scratch."""
        return False

    def step(self, batch: TextBatch) -> StepReport:
        """Run forward and backward of the global batch; see `training.engine.training_task.TrainingTask.step`.

        Raises:
            NonFiniteLoss: a loss is not finite.
            UserError: a micro-batch is too small for an objective.
        """
        parts = list(batch.split(self._micro_batch or len(batch)))
        if self._loss.contrastive_in_batch > 0 and len(parts[-1]) == 1:
            raise UserError(
                f"{SETTING}.contrastive_in_batch={self._loss.contrastive_in_batch:g}: needs other rows in each "
                f"micro-batch, and the last of {len(batch)} rows is alone in its own; choose --batch-size and "
                "compute.micro_batch so that no row is alone"
            )
        counts = self._counts(batch)
        normaliser = self._normaliser(parts)
        if self._queue_sampler is not None:
            self._queue_sampler.begin(int(self.module.steps), len(batch), filling=normaliser is None)
        return self._global_step.run(parts, lambda part: self._terms(part, normaliser), counts, batch.keys)

    def after_step(self) -> None:
        """Count the step, and push the teacher's vectors of the step into the queue."""
        self.module.steps += 1
        if self._queue_sampler is not None:
            self._queue_sampler.push()

    def flops(self, batch: TextBatch) -> float:
        """Return the operations of this rank's batch: student, teacher's forward pass, and CRD's products."""
        teacher = self._states.text if self._states is not None and not self._states.cached else None
        return step_flops(self.module, batch, self._loss, teacher)

    def evaluate(self) -> Mapping[str, float]:
        """Return loss, accuracy and perplexity of masked tokens in the held-out blocks.

        The result is empty if there are no such blocks, or if no objective predicts tokens: the prediction head is then
        untrained, and its scores would choose a best checkpoint by chance.
        """
        if self._states is not None:
            self._states.flush()  # each rank writes its own rows
        if not self._loss.predicts:
            return {}
        device = self._ranks.device
        sums = torch.zeros(3, dtype=torch.float64, device=device)
        with evaluation_mode(self.module, self._precision, device):
            for number, batch in enumerate(self._held_out):
                if number % self._ranks.world_size == self._ranks.rank:
                    sums += self._scored(batch)
        loss, correct, count = sum_over(sums, self._ranks).tolist()
        if not count:
            return {}
        return {"mlm_loss": loss / count, "mlm_accuracy": correct / count, "perplexity": float(np.exp(loss / count))}

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write cached states to the disk, then a folder for `training.models.vidlankd.student_model.load_student`."""
        if self._states is not None:
            self._states.flush()
        save_student(self.module, self._tokenizer, folder, weights=weights)

    def restore(self, folder: Path) -> None:
        """Forget the normaliser: the queue and its own were read with the weights."""
        self._fixed_normaliser = None

    def header(self) -> str:
        """Return one line for the run's header."""
        parameters = sum(parameter.numel() for parameter in self.module.parameters())
        terms = " + ".join(f"{weight:g} {name}" for name, weight in self._loss.weights.items())
        teacher = f"; teacher {self._states.header()}" if self._states else "; no teacher"
        return f"{parameters / 1e6:.1f} M parameters, {terms}, {self._precision}{teacher}"

    def _terms(self, part: TextBatch, normaliser: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Compute the terms of some rows, as sums."""
        device, queue = self._ranks.device, self.module.queue
        selected_M, labels_M = (to_device(each, device) for each in part.labelled())
        masked_BL, valid_BL = to_device(part.masked_BL, device), to_device(part.valid_BL, device)
        states_BLG, logits_MV = self._teacher_outputs(part, selected_M)
        if self._queue_sampler is not None and states_BLG is not None:
            self._queue_sampler.collect(states_BLG, part.special_BL)
        queue_QG = queue.vectors_MH if queue is not None and normaliser is not None else None
        target = Target(labels_M, valid_BL, states_BLG, logits_MV, queue_QG, normaliser)
        with self._precision.autocast(device):
            outputs = self._trained(masked_BL, valid_BL, selected_M if self._loss.predicts else None)
            return objective_sums(outputs, target, self._loss)

    def _teacher_outputs(
        self, part: TextBatch, selected_M: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return the teacher's states, and its logits if an objective needs them."""
        if self._states is None:
            return None, None
        if self._loss.soft_labels > 0:
            return self._states.states_and_logits(part, selected_M)
        return self._states.states(part), None

    def _counts(self, batch: TextBatch) -> dict[str, torch.Tensor]:
        """Return, for each objective, the number in the global batch that its mean is taken over."""
        labels, tokens = (batch.labels_BL != IGNORED).sum(), batch.valid_BL.sum()
        counts = self._global_step.counts({"labels": labels, "rows": len(batch), "tokens": tokens})
        return {name: counts[OBJECTIVES[name].mean_over] for name in self._loss.weights}

    def _normaliser(self, parts: Sequence[TextBatch]) -> torch.Tensor | None:
        """Return Z of CRD, fixed on the first global batch after the queue is full; None before, and without CRD."""
        queue = self.module.queue
        if self._fixed_normaliser is None and queue is not None and queue.full:
            if not float(queue.normaliser):
                queue.normaliser.copy_(self._first_normaliser(parts))
            self._fixed_normaliser = queue.normaliser.cpu()
        return self._fixed_normaliser

    def _first_normaliser(self, parts: Sequence[TextBatch]) -> torch.Tensor:
        """Compute Z as a mean over all valid tokens of the global batch, without dropout."""
        device, queue = self._ranks.device, self.module.queue
        assert queue is not None and self._states is not None
        sums = torch.zeros(2, dtype=torch.float64, device=device)
        with evaluation_mode(self.module, self._precision, device):
            for part in parts:
                valid_BL, states_BLG = to_device(part.valid_BL, device), self._states.states(part)
                student_BLG = self.module(to_device(part.masked_BL, device), valid_BL, None)["crd"]
                normaliser = crd_normaliser(student_BLG, states_BLG, valid_BL, queue.vectors_MH, self._loss.temperature)
                sums += torch.stack([normaliser.double() * valid_BL.sum(), valid_BL.sum().double()])
        total, count = sum_over(sums, self._ranks)
        return (total / count).float()

    def _scored(self, batch: TextBatch) -> torch.Tensor:
        """Return the sum of losses, the number of right predictions and the number of masked tokens; float64 [3]."""
        device = self._ranks.device
        selected_M, labels_M = batch.labelled()
        labels_M = to_device(labels_M, device)
        logits_MV = self.module.predict(
            to_device(batch.masked_BL, device), to_device(batch.valid_BL, device), to_device(selected_M, device)
        )
        right = (logits_MV.argmax(1) == labels_M).sum()
        loss = masked_lm(logits_MV, labels_M, reduction="sum")
        return torch.stack([loss.double(), right.double(), torch.tensor(len(labels_M), device=device).double()])


class _TrainedPart(nn.Module):
    """Modules of a student that have gradients, so that DDP does not synchronise the queue in each step."""

    def __init__(self, model: Student) -> None:
        super().__init__()
        self.text, self.heads = model.text, model.heads
        self._model = (model,)  # in a tuple, so that its buffers do not belong to this module

    def forward(
        self, ids_BL: torch.Tensor, valid_BL: torch.Tensor, selected_M: torch.Tensor | None
    ) -> dict[str, torch.Tensor]:
        """Run `Student.forward`."""
        return self._model[0].forward(ids_BL, valid_BL, selected_M)


def _freeze_predictions(model: Student) -> None:
    """Freeze the prediction head, which no objective trains (its largest matrix is shared with the embeddings)."""
    for name, parameter in model.text.cls.named_parameters():
        if not name.endswith("decoder.weight"):
            parameter.requires_grad_(False)
