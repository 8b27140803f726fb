"""One step of a student with NST and CRD against masked language modelling alone, in the same run.

    python -m bench.kd_step                          # 12 layers, 768 wide, 32 blocks of 128 tokens, queue of 16,384
    python -m bench.kd_step --batch 8 --rounds 3     # faster
    python -m bench.kd_step --small                  # 2 layers, seconds
    python -m bench.kd_step --device cuda --batch 256 --micro-batch 64

A step is forward, backward and AdamW. The vocabulary has 30,522 entries and is predicted at the masked positions only,
in all ways. The teacher has the student's size and random weights, which cost as much as trained ones. Cached states
are read from a cache on disk that was filled before (so they are in the page cache if memory allows). Ways alternate;
the ratio is that of medians. Model FLOPs come from `training.vidlankd.student.student_flops`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from torch.nn import functional as F

from training.corpus.corpus_settings import MaskSettings
from training.corpus.token_masking import text_batch
from training.engine.engine_settings import ComputeSettings
from training.engine.metrics.run_metrics import peak_flops
from training.engine.parallel.distributed import Ranks
from training.engine.precision import choose_precision
from training.models.vidlankd.bert_model import build_bert
from training.models.vidlankd.kd_model_settings import BertShape, StudentModelSettings
from training.models.vidlankd.objectives.student_loss_weights import StudentLossSettings
from training.models.vidlankd.student_model import Student
from training.models.vidlankd.text_batch import TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.student.state_cache import CacheShape, StateCache
from training.vidlankd.student.student_task import StudentTask, build_student
from training.vidlankd.student.teacher_states import TeacherStates
from training.vidlankd.vidlankd_settings import StatesSettings

ALONE, CACHED, COMPUTED = "MLM alone", "+ NST + CRD, cached states", "+ NST + CRD, teacher forward"
ALLOWED = {CACHED: 1.15, COMPUTED: 1.6}
BATCHES = 2
"""Number of different batches that alternate."""


class Way:
    """One way to measure: a task, its optimizer, and the durations of its steps."""

    def __init__(self, task: StudentTask, device: torch.device) -> None:
        self.task, self._device = task, device
        self._optimizer = torch.optim.AdamW(task.module.parameters(), lr=1e-5, fused=device.type == "cuda")
        self.seconds: list[float] = []

    def step(self, batch: TextBatch) -> None:
        """Run and time one step."""
        began = time.perf_counter()
        self.task.step(batch)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.task.after_step()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds.append(time.perf_counter() - began)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="base", help="preset of student and teacher")
    parser.add_argument("--batch", type=int, default=32, help="blocks")
    parser.add_argument("--micro-batch", type=int, help="blocks at once")
    parser.add_argument("--length", type=int, default=128, help="tokens per block, with specials")
    parser.add_argument("--queue", type=int, default=16384)
    parser.add_argument("--kernel", default="gaussian", choices=("gaussian", "polynomial"))
    parser.add_argument("--rounds", type=int, default=5, help="timed steps of each way, after one that is not timed")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="2 layers of 128, 4 blocks, queue of 512")
    options = parser.parse_args(arguments)
    if options.small:
        options.shape, options.batch, options.queue, options.rounds = "tiny", 4, 512, 2
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory(prefix="kd-step-") as folder:
        tokenizer = vocabulary(Path(folder) / "tokenizer")
        batches = [random_batch(tokenizer, options, number) for number in range(BATCHES)]
        ways = ways_of(options, tokenizer, batches, Path(folder), device)
        for number in range(options.rounds + 1):
            for way in ways.values():
                way.step(batches[number % BATCHES])
    print(report(options, ways, batches[0], device))
    return 0


def ways_of(
    options: argparse.Namespace,
    tokenizer: TextTokenizer,
    batches: Sequence[TextBatch],
    folder: Path,
    device: torch.device,
) -> dict[str, Way]:
    """Return all ways, ready to step; those with a teacher share one student."""
    torch.manual_seed(0)
    shape = BertShape.named(options.shape)
    compute = ComputeSettings(device=str(device), micro_batch=options.micro_batch)
    both = StudentLossSettings(queue=options.queue, nst_kernel=options.kernel)
    alone = StudentLossSettings(nst=0, crd=0)
    ranks, precision = Ranks(device=device), choose_precision(compute.precision, device)
    cache = StateCache(folder / "cache", CacheShape(BATCHES * options.batch, options.length, shape.hidden), {})
    text = build_bert(shape, tokenizer.vocab_size, tokenizer.pad)
    states = {
        CACHED: TeacherStates(text, "random", StatesSettings(), precision, device, cache=cache),
        COMPUTED: TeacherStates(text, "random", StatesSettings(), precision, device),
    }
    states[CACHED].prefill(batches)
    model = build_student(StudentModelSettings(shape=shape), both, tokenizer, states[COMPUTED])
    fill(model, device)
    tasks = {ALONE: StudentTask(Student(shape, tokenizer), tokenizer, alone, compute, ranks)}
    tasks |= {name: StudentTask(model, tokenizer, both, compute, ranks, states=found) for name, found in states.items()}
    return {name: Way(task, device) for name, task in tasks.items()}


def fill(model: Student, device: torch.device) -> None:
    """Fill the queue, which is not part of the measurement."""
    assert model.queue is not None
    model.to(device)
    model.queue.push(F.normalize(torch.randn(model.queue.vectors_MH.shape, device=device), dim=1))


def vocabulary(folder: Path) -> TextTokenizer:
    """Write a tokenizer with as many entries as BERT's."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    entries = {name: number for number, name in enumerate([*specials, *(f"w{n}" for n in range(30522 - 5))])}
    tokenizer = Tokenizer(WordPiece(entries, unk_token="[UNK]"))
    tokenizer.add_special_tokens(specials)
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return TextTokenizer.from_folder(folder)


def random_batch(tokenizer: TextTokenizer, options: argparse.Namespace, number: int) -> TextBatch:
    """Return full blocks of random tokens with BERT's masks."""
    rng = np.random.default_rng(number)
    ids_BL = rng.integers(5, tokenizer.vocab_size, (options.batch, options.length))
    ids_BL[:, 0], ids_BL[:, -1] = tokenizer.cls, tokenizer.sep
    numbers = range(number * options.batch, (number + 1) * options.batch)
    return text_batch(
        ids_BL,
        tokenizer=tokenizer,
        seeds=list(numbers),
        settings=MaskSettings(),
        numbers=numbers,
        copies=[0] * options.batch,
        keys=[str(n) for n in numbers],
    )


def report(options: argparse.Namespace, ways: dict[str, Way], batch: TextBatch, device: torch.device) -> str:
    """Return the result as Markdown, with machine and date."""
    peak, _ = peak_flops(device)
    precision = choose_precision("auto", device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {name}, torch {torch.__version__}, {precision}; "
        f"{options.shape}, {options.batch} blocks of {options.length} tokens, queue of "
        f"{options.queue}, {options.kernel} NST, medians of {options.rounds} rounds.",
        "",
        "| student step | seconds | ratio | target | tokens/s | MFU |",
        "|---|---|---|---|---|---|",
    ]
    base = statistics.median(ways[ALONE].seconds[1:])
    for name, way in ways.items():
        seconds = statistics.median(way.seconds[1:])
        mfu = f"{way.task.flops(batch) / seconds / peak:.1%}" if peak else ""
        asked = f"at most {ALLOWED[name]:g}" if name in ALLOWED else ""
        rate = options.batch * options.length / seconds
        lines.append(f"| {name} | {seconds:.3f} | {seconds / base:.3f} | {asked} | {rate:.0f} | {mfu} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
