"""Norms of each objective's gradient in a student's encoder, at weight 1 and before training.

    python -m bench.kd_gradients                 # 6 layers of 512; a minute on 2 cores
    python -m bench.kd_gradients --shape base

Weights of 1 are the paper's, and do not balance the objectives: their gradients in the shared layers differ by orders
of magnitude. Student and teacher are random, of equal size, without dropout; the text is random tokens, 15 % of them
predicted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from bench.kd_step import random_batch, vocabulary
from training.models.vidlankd.bert_model import build_bert, hidden_states
from training.models.vidlankd.kd_model_settings import BertShape
from training.models.vidlankd.losses import crd, crd_normaliser, masked_lm, nst
from training.models.vidlankd.student_model import Distillation, Student
from training.models.vidlankd.text_tokenizer import TextTokenizer


def main() -> int:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="small", help="preset of student and teacher")
    parser.add_argument("--batch", type=int, default=8, help="blocks")
    parser.add_argument("--length", type=int, default=128, help="tokens per block, with specials")
    parser.add_argument("--queue", type=int, default=16384)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kd-gradients-") as folder:
        found = gradients(vocabulary(Path(folder) / "tokenizer"), options)
    print(f"{time.strftime('%Y-%m-%d')}; {options.shape}, {options.batch} blocks of {options.length} tokens.\n")
    print("| objective | loss | norm of its gradient | of MLM's |\n|---|---|---|---|")
    for name, (loss, norm) in found.items():
        print(f"| {name} | {loss:.4f} | {norm:.3g} | {norm / found['mlm'][1]:.3g} |")
    return 0


def gradients(tokenizer: TextTokenizer, options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Return the value of each objective, and the norm of its gradient over the encoder's parameters."""
    torch.manual_seed(0)
    shape = BertShape.named(options.shape, dropout=0.0)
    teacher = build_bert(shape, tokenizer.vocab_size, tokenizer.pad).requires_grad_(False)
    student = Student(shape, tokenizer, Distillation(("nst", "crd"), shape.hidden, options.queue))
    batch = random_batch(tokenizer, options, 0)
    chosen_M, labels_M = batch.labelled()
    found = student(batch.masked_BL, batch.valid_BL, chosen_M)
    states_BLH = F.normalize(hidden_states(teacher, batch.masked_BL, batch.valid_BL), dim=-1)
    queue_QH = F.normalize(torch.randn(options.queue, shape.hidden), dim=1)
    normaliser = crd_normaliser(found["crd"], states_BLH, batch.valid_BL, queue_QH)
    losses = {
        "mlm": masked_lm(found["mlm"], labels_M),
        "nst, gaussian": nst(found["nst"], states_BLH, batch.valid_BL),
        "nst, polynomial": nst(found["nst"], states_BLH, batch.valid_BL, "polynomial"),
        "crd": crd(found["crd"], states_BLH, batch.valid_BL, queue_QH, normaliser),
    }
    parameters = list(student.text.bert.encoder.parameters())
    return {name: (float(loss.detach()), _norm(loss, parameters)) for name, loss in losses.items()}


def _norm(loss: torch.Tensor, parameters: list[torch.nn.Parameter]) -> float:
    given = torch.autograd.grad(loss, parameters, retain_graph=True)
    return float(torch.stack([each.square().sum() for each in given]).sum().sqrt())


if __name__ == "__main__":
    raise SystemExit(main())
