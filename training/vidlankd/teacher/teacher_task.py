"""The teacher's training task: gradients of the contrastive term and of masked language modelling.

The contrastive term couples a text with clips of the whole global batch. A step therefore computes the vectors of all
clips first; then runs the texts part by part, which accumulates the gradients of the clip vectors; then runs the
backward pass of the video tower (`training.vidlankd.teacher.clip_vectors`). One forward pass of the masked text serves
both terms, as in the release. Every term is a mean over the global batch: counts are summed over the ranks first.

Shapes: B rows of this rank, P of a part, N of the global batch, L tokens, T rows of features, H width, M labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from runtime.log import get_logger
from training.engine.engine_settings import ComputeSettings
from training.engine.global_step import GlobalStep
from training.engine.parallel.distributed import Ranks, gather_plain, sum_over, to_device
from training.engine.parallel.sync_gradients import wrap_ddp
from training.engine.precision import choose_precision, evaluation_mode
from training.engine.training_task import StepReport
from training.models.vidlankd.bert_model import encoder_flops, hidden_states, mlm_logits, prediction_flops
from training.models.vidlankd.losses import masked_lm
from training.models.vidlankd.teacher_model import Teacher, save_teacher
from training.models.vidlankd.text_batch import ClipTextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.teacher.clip_vectors import ClipVectors, embed
from training.vidlankd.teacher.teacher_loss import (
    GlobalRows,
    contrastive_count,
    contrastive_sum,
    count_correct_pairs,
)
from training.vidlankd.vidlankd_settings import TeacherLossSettings

_TERMS: Final = ("contrastive", "mlm")
"""Names of the terms and of their weights."""

_log = get_logger(__name__)


class TeacherTask:
    """Training of a teacher; implements `training.engine.training_task.TrainingTask`."""

    best_by = "score"
    unit = "clips"

    def __init__(
        self,
        model: Teacher,
        tokenizer: TextTokenizer,
        loss: TeacherLossSettings,
        compute: ComputeSettings,
        ranks: Ranks,
        held_out: Iterable[ClipTextBatch] = (),
    ) -> None:
        """Put the model on this rank's device and wrap it in DDP.

        Args:
            model: a teacher from `training.models.vidlankd.teacher_model.build_teacher`, with the same weights on every
                rank.
            tokenizer: tokenizer that is saved with the model.
            loss: weights and form of the losses.
            compute: precision, micro-batches, compilation.
            ranks: the processes of the run.
            held_out: this rank's share of the batches to score; iterated at each evaluation.
        """
        self.module: Teacher = model.to(ranks.device).train()
        self._tokenizer, self._loss, self._ranks, self._held_out = tokenizer, loss, ranks, held_out
        self._micro_batch = compute.micro_batch
        self._warned_single_video = False
        self._precision = choose_precision(compute.precision, ranks.device)
        _freeze_unused(model, loss)
        if compute.compile:
            model.text.bert.compile()
        self._text = wrap_ddp(_TextPart(model), ranks)
        tower = model.video if loss.contrastive else None
        self._vectors = ClipVectors(tower, model.hidden, self._precision, ranks)
        weights = {name: weight for name in _TERMS if (weight := getattr(loss, name))}
        self._global_step = GlobalStep(model, ranks, weights, self._text, self._vectors)

    @property
    def stored(self) -> nn.Module:
        """Return the model whose weights are saved."""
        return self.module

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Plain values that rebuild the model."""
        return self.module.architecture

    @property
    def precision(self) -> str:
        """Return the arithmetic, as the setting names it."""
        return self._precision.name

    def is_new(self, parameter: str) -> bool:
        """Return False: no parameter is newer than the others, as all are trained from scratch."""
        return False

    def step(self, batch: ClipTextBatch) -> StepReport:
        """Run forward and backward of the global batch; see `training.engine.training_task.TrainingTask.step`."""
        parts = list(_parts(len(batch), self._micro_batch or len(batch)))
        every = self._global_rows(batch)
        self._warn_single_video(every)
        first = self._ranks.rank * len(batch)
        counts = self._counts(batch, every.compared_N[first : first + len(batch)])
        clips_NH = self._vectors.forward(batch, parts)
        report = self._global_step.run(
            parts, lambda part: self._terms(batch, part, first, clips_NH, every), counts, batch.keys
        )
        return replace(report, facts={"compared": float(every.compared_N.mean())})

    def after_step(self) -> None:
        """Do nothing."""

    def flops(self, batch: ClipTextBatch) -> float:
        """Return the operations of this rank's batch: three forward passes of trained parts, one of a frozen tower."""
        text, video = self.module.text.config, self.module.video
        labels = len(batch.text.labelled()[0]) if self._loss.mlm else 0
        forward = encoder_flops(text, *batch.text.ids_BL.shape) + prediction_flops(text, labels)
        if not self._loss.contrastive:
            return 3 * forward
        clips, rows = batch.frames_BT.shape
        projected = 2.0 * clips * rows * sum(p.numel() for p in video.projection.parameters() if p.ndim == 2)
        return 3 * forward + (3 if self._vectors.trains else 1) * (
            encoder_flops(video.encoder.config, clips, rows) + projected
        )

    def evaluate(self) -> Mapping[str, float]:
        """Return losses on held-out clips, and the share of tokens nearer to their own clip than to their partner's.

        `score` is minus the total loss. The result is empty if nothing is held out; without the contrastive term it has
        no entries about clips.
        """
        sums = torch.zeros(6, dtype=torch.float64, device=self._ranks.device)
        with evaluation_mode(self.module, self._precision, self._ranks.device):
            for batch in self._held_out:
                sums += self._scored(batch)
        contrastive, contrasted, mlm, labels, nearer, compared = sum_over(sums, self._ranks).tolist()
        pairs = {"contrastive": (contrastive, contrasted), "mlm": (mlm, labels), "pair_accuracy": (nearer, compared)}
        reported = pairs if self._loss.contrastive else ("mlm",)
        means = {name: pairs[name][0] / pairs[name][1] for name in reported if pairs[name][1]}
        total = sum(getattr(self._loss, name) * means.get(name, 0.0) for name in _TERMS)
        return {"score": -total, **means} if means else {}

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write a folder for `training.models.vidlankd.teacher_model.load_teacher`."""
        save_teacher(self.module, self._tokenizer, folder, weights)

    def restore(self, folder: Path) -> None:
        """Do nothing: all that `save` writes is read with the weights."""

    def header(self) -> str:
        """Return one line for the run's header."""
        text, video = (sum(p.numel() for p in part.parameters()) for part in (self.module.text, self.module.video))
        trained = "" if self._vectors.trains else ", which is not trained"
        terms = f"{self._loss.contrastive:g} {self._loss.level} {self._loss.kind} + {self._loss.mlm:g} mlm"
        return f"{text / 1e6:.1f} M parameters and {video / 1e6:.1f} M for video{trained}; {terms}, {self._precision}"

    def _global_rows(self, batch: ClipTextBatch) -> GlobalRows:
        weight_N = gather_plain(to_device(batch.weight_B, self._ranks.device), self._ranks)
        video_id_N = gather_plain(to_device(batch.video_id_B, self._ranks.device), self._ranks)
        return GlobalRows.of(weight_N, video_id_N, self._loss)

    def _warn_single_video(self, every: GlobalRows) -> None:
        """Warn once if all clips of a batch are of one video: such a step does not train the video tower."""
        if (
            self._warned_single_video
            or not self._loss.contrastive
            or not every.weight_N.any()
            or every.compared_N.any()
        ):
            return
        self._warned_single_video = True
        _log.warning(
            "all clips of a batch are of one video: there are no negatives, so its contrastive term is 0; "
            "if the log says `compared 0` at every step, raise --batch-size or add videos"
        )

    def _counts(self, batch: ClipTextBatch, compared_B: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the numbers of the global batch that the terms are means over."""
        valid_BL = to_device(batch.text.valid_BL, self._ranks.device)
        tokens = contrastive_count(valid_BL, compared_B, self._loss)
        return self._global_step.counts({"contrastive": tokens, "mlm": len(batch.text.labelled()[0])})

    def _terms(
        self, batch: ClipTextBatch, part: slice, first: int, clips_NH: torch.Tensor, every: GlobalRows
    ) -> dict[str, torch.Tensor]:
        """Return the terms that take part, summed over some rows."""
        device, text = self._ranks.device, batch.text.rows(part)
        chosen_M, labels_M = (to_device(each, device) for each in text.labelled())
        valid_PL = to_device(text.valid_BL, device)
        with self._precision.autocast(device):
            hidden_PLH, logits_MV = self._text(
                to_device(text.masked_BL, device), valid_PL, chosen_M if self._loss.mlm else None
            )
        terms = {}
        if self._loss.contrastive:
            rows = slice(first + part.start, first + part.stop)
            terms["contrastive"] = contrastive_sum(hidden_PLH, valid_PL, clips_NH, every, rows, self._loss)
        if logits_MV is not None:
            terms["mlm"] = masked_lm(logits_MV, labels_M, reduction="sum")
        return terms

    def _scored(self, batch: ClipTextBatch) -> torch.Tensor:
        """Return sum and count of both terms, then tokens nearer to their own clip and tokens compared; float64 [6]."""
        device = self._ranks.device
        text, weight_B, video_id_B = batch.text, to_device(batch.weight_B, device), to_device(batch.video_id_B, device)
        chosen_M, labels_M = (to_device(each, device) for each in text.labelled())
        valid_BL = to_device(text.valid_BL, device)
        hidden_BLH, logits_MV = _TextPart(self.module)(to_device(text.masked_BL, device), valid_BL, chosen_M)
        clips_BH = embed(self.module.video, batch, self._precision, device)
        every = GlobalRows.of(weight_B, video_id_B, self._loss)
        contrast = contrastive_sum(hidden_BLH, valid_BL, clips_BH, every, slice(0, len(batch)), self._loss)
        contrasted = contrastive_count(valid_BL, every.compared_N, self._loss)
        mlm = masked_lm(logits_MV, labels_M, reduction="sum")
        nearer, compared = count_correct_pairs(hidden_BLH, valid_BL, clips_BH, every, self._loss)
        labels = torch.tensor(len(labels_M), device=device)
        return torch.stack([value.double() for value in (contrast, contrasted, mlm, labels, nearer, compared)])


class _TextPart(nn.Module):
    """Modules of a teacher that process text."""

    def __init__(self, model: Teacher) -> None:
        super().__init__()
        self.text = model.text

    def forward(
        self, ids_BL: torch.Tensor, valid_BL: torch.Tensor, chosen_M: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the last hidden states, and logits at chosen positions of the flattened batch."""
        hidden_BLH = hidden_states(self.text, ids_BL, valid_BL)
        if chosen_M is None:
            return hidden_BLH, None
        return hidden_BLH, mlm_logits(self.text, hidden_BLH.flatten(0, 1)[chosen_M])


def _freeze_unused(model: Teacher, loss: TeacherLossSettings) -> None:
    """Freeze the modules that no term trains; the largest matrix of MLM's head is shared with the embeddings."""
    if not loss.contrastive:
        model.video.requires_grad_(False)
    if not loss.mlm:
        model.text.cls.predictions.transform.requires_grad_(False)
        model.text.cls.predictions.bias.requires_grad_(False)


def _parts(count: int, rows: int) -> Iterator[slice]:
    for begin in range(0, count, rows):
        yield slice(begin, min(begin + rows, count))
