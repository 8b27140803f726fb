"""Floating point operations of a student's training step, by formula, for MFU.

Only matrix products count: the encoder, the heads and the prediction of masked tokens (forward and backward: three
times the forward pass), the teacher's forward pass if it runs, and CRD's two products with its queue. NST's products, a
hundredth of the encoder's at the paper's size, are left out.

Shapes: B rows, L tokens, H width, G width of the teacher, Q vectors of the queue, M masked positions, V vocabulary.
"""

from __future__ import annotations

from torch import nn
from transformers import BertForMaskedLM

from training.models.vidlankd.bert_model import encoder_flops, prediction_flops
from training.models.vidlankd.objectives.student_loss_weights import StudentLossSettings
from training.models.vidlankd.student_model import Student
from training.models.vidlankd.text_batch import IGNORED, TextBatch


def step_flops(
    model: Student, batch: TextBatch, loss: StudentLossSettings, teacher: BertForMaskedLM | None = None
) -> float:
    """Return the floating point operations of one training step over a rank's batch.

    Args:
        model: the student.
        batch: its rows and their length; padding is computed, and so is counted.
        loss: weights of the objectives.
        teacher: the teacher's language tower, if it runs in the step.
    """
    rows, length = batch.ids_BL.shape
    masked = int((batch.labels_BL != IGNORED).sum()) if loss.predicts else 0
    config = model.text.config
    heads = sum(layer.weight.numel() for layer in model.heads.modules() if isinstance(layer, nn.Linear))
    forward = encoder_flops(config, rows, length) + prediction_flops(config, masked) + 2.0 * rows * length * heads
    total = 3 * forward
    if teacher is not None:
        total += encoder_flops(teacher.config, rows, length)
        total += prediction_flops(teacher.config, masked) if loss.soft_labels > 0 else 0
    if model.queue is not None:
        total += 2 * 2.0 * rows * length * model.queue.vectors_MH.numel()
    return total
