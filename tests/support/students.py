"""Tiny teachers, students and batches of blocks: two layers, a few dozen units wide, a small vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from support.tiny_bert import tiny_tokenizer

from training.engine.precision import Precision
from training.models.vidlankd.kd_model_settings import BertShape, TeacherModelSettings
from training.models.vidlankd.teacher_model import build_teacher, save_teacher
from training.models.vidlankd.text_batch import IGNORED, TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.student.teacher_states import StateCorpus, TeacherStates, open_states
from training.vidlankd.vidlankd_settings import StatesSettings

LENGTH, BLOCKS = 12, 40
EXACT = Precision(torch.float32, "for tests")
CPU = torch.device("cpu")


def shape(hidden: int = 32, layers: int = 2, dropout: float = 0.0) -> BertShape:
    return BertShape(
        layers=layers, hidden=hidden, heads=2, intermediate=2 * hidden, positions=LENGTH + 4, dropout=dropout
    )


def tokenizer_in(folder: Path) -> TextTokenizer:
    return TextTokenizer.from_folder(tiny_tokenizer(folder / "tokenizer"))


@dataclass(frozen=True)
class Features:
    name: str = "toy"
    encoder: str = "toy"
    width: int = 6


def teacher_in(folder: Path, tokenizer: TextTokenizer, hidden: int = 32, seed: int = 1, dropout: float = 0.0) -> str:
    """Save a random teacher and return its folder."""
    torch.manual_seed(seed)
    settings = TeacherModelSettings(shape=shape(hidden, dropout=dropout), max_rows=4, projection=8, block=LENGTH)
    save_teacher(build_teacher(settings, tokenizer, Features()), tokenizer, folder)
    return str(folder)


def corpus(static_copies: int | None = None, blocks: int = BLOCKS, identity: str = "toy corpus") -> StateCorpus:
    return StateCorpus(identity, blocks, LENGTH, {"probability": 0.15, "static_copies": static_copies}, static_copies)


def states_of(
    teacher: str, tokenizer: TextTokenizer, static_copies: int | None = None, **values: object
) -> TeacherStates:
    settings = StatesSettings.model_validate({"teacher": teacher, **values})
    found = open_states(settings, corpus(static_copies), tokenizer, EXACT, CPU)
    assert found is not None
    return found


def blocks(tokenizer: TextTokenizer, numbers: list[int], copy: int = 0, short: int | None = None) -> TextBatch:
    """Make blocks whose tokens and masks are drawn from their numbers; row `short` is half padding."""
    rows, masks = [], []
    for number in numbers:
        draw = torch.Generator().manual_seed(number)
        words = torch.randint(5, tokenizer.vocab_size, (LENGTH - 2,), generator=draw)
        rows.append(torch.cat([torch.tensor([tokenizer.cls]), words, torch.tensor([tokenizer.sep])]))
        masks.append(torch.rand(LENGTH, generator=draw.manual_seed(1000 * (copy + 1) + number)) < 0.3)
    ids_BL, chosen_BL = torch.stack(rows), torch.stack(masks)
    valid_BL = torch.ones_like(chosen_BL)
    if short is not None:
        valid_BL[short, LENGTH // 2 :] = False
        ids_BL[short, LENGTH // 2 - 1] = tokenizer.sep
        ids_BL[short, LENGTH // 2 :] = tokenizer.pad
    special_BL = torch.isin(ids_BL, torch.tensor([tokenizer.cls, tokenizer.sep, tokenizer.pad]))
    chosen_BL[:, 1] = True
    chosen_BL &= ~special_BL
    return TextBatch(
        ids_BL=ids_BL,
        masked_BL=ids_BL.masked_fill(chosen_BL, tokenizer.mask),
        labels_BL=ids_BL.masked_fill(~chosen_BL, IGNORED),
        valid_BL=valid_BL,
        special_BL=special_BL,
        number_B=torch.tensor(numbers),
        copy_B=torch.full((len(numbers),), copy),
        keys=[f"block-{number}" for number in numbers],
    )
