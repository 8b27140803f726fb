"""A tiny teacher, and a batch for it whose features and texts are random."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from support.tiny_bert import tiny_tokenizer

from training.corpus.corpus_settings import MaskSettings
from training.corpus.token_masking import text_batch
from training.models.vidlankd.kd_model_settings import BertShape, TeacherModelSettings
from training.models.vidlankd.teacher_model import Teacher, build_teacher
from training.models.vidlankd.text_batch import ClipTextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer

WIDTH = 6


@dataclass(frozen=True)
class Facts:
    """Facts of a feature set."""

    name: str = "colours"
    encoder: str = "counts"
    width: int = WIDTH


def settings(**changes: object) -> TeacherModelSettings:
    """Settings of two layers of width 32, without dropout."""
    shape = BertShape(layers=2, hidden=32, heads=2, intermediate=64, positions=32, dropout=0.0)
    given = {"shape": shape, "max_rows": 24, "projection": 16, "block": 16, **changes}
    return TeacherModelSettings.model_validate(given)


@functools.cache
def tokenizer() -> TextTokenizer:
    """Return a tokenizer of a few hundred entries."""
    return TextTokenizer.from_folder(tiny_tokenizer(Path(mkdtemp())))


def teacher(seed: int = 0, **changes: object) -> Teacher:
    """Build a teacher with weights from the seed; the dropout of the video tower's perceptron is off too."""
    torch.manual_seed(seed)
    model = build_teacher(settings(**changes), tokenizer(), Facts())
    for module in model.video.modules():
        if isinstance(module, torch.nn.Dropout) and model.text.config.hidden_dropout_prob == 0:
            module.p = 0.0
    return model


def batch(rows: int = 8, length: int = 12, frames: int = 5, seed: int = 3) -> ClipTextBatch:
    """Make a batch of texts and features of different lengths, two clips per video; the fourth row has no features."""
    random = np.random.default_rng(seed)
    ids_BL = np.full((rows, length), tokenizer().pad, np.int64)
    video_BTD = torch.zeros(rows, frames, WIDTH, dtype=torch.float16)
    frames_BT = torch.zeros(rows, frames, dtype=torch.bool)
    for row in range(rows):
        words = random.choice(tokenizer().ordinary, 2 + row % (length - 3))
        ids_BL[row, : len(words) + 2] = [tokenizer().cls, *words, tokenizer().sep]
        seen = 1 + row % frames
        video_BTD[row, :seen] = torch.from_numpy(random.normal(size=(seen, WIDTH)))
        frames_BT[row, :seen] = True
    weight_B = torch.ones(rows)
    if rows > 3:
        weight_B[3], video_BTD[3], frames_BT[3, 1:] = 0.0, 0.0, False
    text = text_batch(
        ids_BL, tokenizer=tokenizer(), seeds=range(rows), settings=MaskSettings(), numbers=[0] * rows,
        copies=[0] * rows, keys=[f"clip-{row}" for row in range(rows)],
    )  # fmt: skip
    return ClipTextBatch(
        keys=text.keys, text=text, video_BTD=video_BTD, frames_BT=frames_BT, weight_B=weight_B,
        video_id_B=torch.arange(rows) // 2,
    )  # fmt: skip


def rows_of(whole: ClipTextBatch, part: slice) -> ClipTextBatch:
    """Return a rank's share of a batch."""
    return whole.rows(part)
