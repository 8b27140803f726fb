"""Does it transfer? Students are tested on looks that a teacher saw in videos and no text states; three seeds, on CPU.

    python -m bench.transfer --output FILE.md    # everything, two processes of one thread each: under 45 minutes
    python -m bench.transfer --small             # the same code in two minutes; so few steps teach nothing

`bench.transfer_data` makes the world: nouns, and videos that show the colour, shape and direction of what the nouns
name, with captions that never state them. The students' corpus states the looks of two thirds of the nouns; no text
states those of the held-out third. All students take the same number of steps over equally many blocks and differ only
in:

    text only                   the corpus
    text + captions             the corpus, and the captions of the videos as more text
    caption teacher, NST+CRD    distilled from a teacher that saw the captions and no video
    NST, CRD, NST+CRD           distilled from a teacher that saw videos with captions
    all stated                  text only, on a corpus that states the looks of all nouns: the upper limit

The models, losses, batches and the loop are those of `train-vidlankd`, on a DIR that `bench.transfer_shards` writes.
The teacher's contrast is InfoNCE over the batch: the paper's hinge with one negative learns too slowly for tiny models
in a few minutes. The tests are in `bench.transfer_probe`.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from transformers import BertForMaskedLM, BertTokenizer

from bench import transfer_data as data
from bench.transfer_probe import cloze, probe
from bench.transfer_report import CLOZE, PROBE, STATED, Outcome, report
from bench.transfer_shards import NAME, write_videos
from training.corpus.block_batches import TextBatches
from training.corpus.corpus_settings import MaskSettings, TextSettings
from training.corpus.tokenize_corpus import tokenize
from training.corpus.tokenize_settings import TokenizeSettings
from training.engine.engine_settings import ComputeSettings, LoopSettings, OptimSettings
from training.engine.parallel.distributed import Ranks
from training.engine.precision import Precision
from training.engine.training_loop import TrainingRun, train
from training.engine.training_task import Batches, TrainingTask
from training.models.vidlankd.kd_model_settings import BertShape, StudentModelSettings, TeacherModelSettings
from training.models.vidlankd.objectives.student_loss_weights import StudentLossSettings
from training.models.vidlankd.teacher_model import build_teacher
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.student.student_task import StudentTask, build_student
from training.vidlankd.student.teacher_states import StateCorpus, TeacherStates, open_states
from training.vidlankd.teacher.clip_text_batches import (
    ClipTextBatches,
    build_collator,
    open_features,
    open_source,
)
from training.vidlankd.teacher.teacher_task import TeacherTask
from training.vidlankd.vidlankd_settings import ClipTextSettings, StatesSettings, TeacherLossSettings


@dataclass(frozen=True)
class Variant:
    """Sources that one student learns from."""

    name: str
    corpora: tuple[str, ...] = ("corpus",)
    """Corpora, in equal shares."""
    teacher: str | None = None
    nst: float = 0.0
    crd: float = 0.0


@dataclass(frozen=True)
class Plan:
    """Settings that all runs share."""

    folder: Path
    steps: int
    videos: int
    leak: float

    def of(self, seed: int) -> Path:
        """Folder of a seed."""
        return self.folder / f"seed{seed}"


VIDEO, CAPTIONS = "teacher with video", "teacher without video"
VARIANTS: Final = (
    Variant("text only"),
    Variant("text + captions", corpora=("corpus", "captions")),
    Variant("caption teacher, NST+CRD", teacher=CAPTIONS, nst=1.0, crd=1.0),
    Variant("NST", teacher=VIDEO, nst=1.0),
    Variant("CRD", teacher=VIDEO, crd=1.0),
    Variant("NST+CRD", teacher=VIDEO, nst=1.0, crd=1.0),
    Variant("all stated", corpora=("all stated",)),
)
SHAPE: Final = BertShape(layers=2, hidden=64, heads=4, intermediate=256, positions=32, dropout=0.0)
BLOCK: Final = 2 * data.SENTENCE
"""Tokens of a student's block without its specials: two sentences."""
BATCH: Final = 64
VIDEOS, SENTENCES = 4000, 20_000
QUEUE: Final = 1024
NST_KERNEL: Final = "gaussian"
MASKING: Final = MaskSettings(probability=0.25)
"""Share of masked tokens for students: more than the usual 15 %, so that a few thousand steps see each fact often."""
OPTIMIZER: Final = OptimSettings(lr_end=0.0, schedule="linear", weight_decay=0.01, clip_norm=1.0)
TEACHER_RATE, STUDENT_RATE = 1e-3, 3e-3
COMPUTE: Final = ComputeSettings(device="cpu", precision="fp32")


def main() -> int:
    """Train all models, print the tables, and write them to a file."""
    arguments = _parse()
    seeds, steps = ([0], 80) if arguments.small else (list(range(arguments.seeds)), arguments.steps)
    variants = [
        replace(variant, nst=variant.nst * arguments.nst) for variant in VARIANTS if variant.name in arguments.only
    ]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="transfer-") as scratch:
        plan = Plan(Path(scratch), steps, 200 if arguments.small else VIDEOS, arguments.leak)
        outcomes = list(_run_all(plan, variants, seeds, arguments.processes))
    setup = (
        f"Students: {steps} steps of {BATCH} blocks of {BLOCK + 2} tokens. Teachers: {steps} steps of {BATCH} clips of "
        f"{plan.videos} videos. {SHAPE.layers} layers, {SHAPE.hidden} wide; queue of {QUEUE}, {NST_KERNEL} NST of "
        f"weight {arguments.nst:g}; {arguments.processes} processes of one thread"
    )
    text = report(outcomes, [VIDEO, CAPTIONS, *(variant.name for variant in VARIANTS)], setup, time.monotonic() - began)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    return 0


def prepare(plan: Plan, seed: int) -> None:
    """Write all that the runs of a seed share: the world's videos, the texts, the vocabulary."""
    world, folder = data.make_world(seed), plan.of(seed)
    folder.mkdir()
    write_tokenizer(folder / "tokenizer")
    write_videos(world, folder / "videos", plan.videos, seed, plan.leak)
    settings = TokenizeSettings(tokenizer=f"path://{folder / 'tokenizer'}", block=BLOCK, column="caption", workers=0)
    tokenize([], folder / "captions", settings, shards=[str(folder / "videos")])
    texts = {
        "corpus": data.corpus(world, SENTENCES, np.random.default_rng((seed, 1))),
        "all stated": data.corpus(world, SENTENCES, np.random.default_rng((seed, 1)), state_all=True),
    }
    for name, sentences in texts.items():
        lines = folder / f"{name}.txt"
        lines.write_text("".join(f"{sentence} .\n" for sentence in sentences), encoding="utf-8")
        tokenize([lines], folder / name, settings)


def run_teacher(plan: Plan, seed: int, name: str) -> Outcome:
    """Train a teacher and read its states."""
    folder = plan.of(seed)
    tokenizer = TextTokenizer.from_folder(folder / "tokenizer")
    videos = str(folder / "videos")
    settings = ClipTextSettings(shards=(videos,), features=NAME, text=("caption",), held_out=0)
    store = open_features(settings)
    model = TeacherModelSettings(shape=SHAPE, projection=128, block=BLOCK + 2, max_rows=8)
    loss = TeacherLossSettings(contrastive=float(name == VIDEO), kind="info_nce")
    with _quiet(folder / f"{name}.log", seed):
        collator = build_collator(settings, store, tokenizer, model.block, model.max_rows, pin=False)
        batches = ClipTextBatches(open_source(settings, seed), collator, BATCH, 1, Ranks())
        task = TeacherTask(build_teacher(model, tokenizer, store), tokenizer, loss, COMPUTE, Ranks())
        seconds = _train(task, batches, plan, seed, TEACHER_RATE, folder / "runs" / name)
        task.save(folder / name)
    scores = {PROBE: probe(task.module.text.eval(), tokenizer, data.make_world(seed))}
    return Outcome(name, seed, scores, None, seconds)


def run_student(plan: Plan, seed: int, variant: Variant) -> Outcome:
    """Train a student and test it."""
    folder = plan.of(seed)
    text = TextSettings(corpus=dict.fromkeys((str(folder / name) for name in variant.corpora), 1.0), masking=MASKING)
    loss = StudentLossSettings(nst=variant.nst, crd=variant.crd, nst_kernel=NST_KERNEL, queue=QUEUE)
    with _quiet(folder / f"{variant.name}.log", seed):
        batches = TextBatches(text, global_batch=BATCH, ranks=Ranks(), seed=seed)
        states = _open_states(folder / variant.teacher, batches, text) if variant.teacher else None
        model = build_student(StudentModelSettings(shape=SHAPE), loss, batches.tokenizer, states)
        held_out = list(batches.held_out(BATCH))
        task = StudentTask(
            model, batches.tokenizer, loss, COMPUTE, Ranks(), states=states, held_out=held_out, seed=seed
        )
        seconds = _train(task, batches, plan, seed, STUDENT_RATE, folder / "runs" / variant.name)
        accuracy = 100 * task.evaluate()["mlm_accuracy"]
    return Outcome(variant.name, seed, _asked(model.text, batches.tokenizer, seed), accuracy, seconds)


def write_tokenizer(folder: Path) -> None:
    """Write a WordPiece tokenizer of the world's words."""
    entries = {word: number for number, word in enumerate(data.vocabulary())}
    BertTokenizer(vocab=entries, model_max_length=SHAPE.positions).save_pretrained(folder)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file for the tables")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--steps", type=int, default=4000, help="steps of each teacher and each student")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--leak", type=float, default=0.0, help="share of captions that name colours of stated nouns")
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--only", nargs="+", default=names, choices=names, help="students to train")
    parser.add_argument("--nst", type=float, default=1.0, help="weight of NST in the students that use it")
    parser.add_argument("--small", action="store_true", help="one seed, 80 steps")
    return parser.parse_args()


def _run_all(plan: Plan, variants: Sequence[Variant], seeds: Sequence[int], processes: int) -> Iterator[Outcome]:
    """Run teachers before their students, and at the same time the students without a teacher."""
    alone = [variant for variant in variants if variant.teacher is None]
    taught = [variant for variant in variants if variant.teacher is not None]
    names = [name for name in (VIDEO, CAPTIONS) if any(variant.teacher == name for variant in taught)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(prepare, plan, seed) for seed in seeds]:
            done.result()
        teachers = [pool.submit(run_teacher, plan, seed, name) for seed in seeds for name in names]
        students = [pool.submit(run_student, plan, seed, variant) for seed in seeds for variant in alone]
        yield from _reported(teachers + students)
        yield from _reported([pool.submit(run_student, plan, seed, variant) for seed in seeds for variant in taught])


def _reported(runs: Sequence[Future[Outcome]]) -> Iterator[Outcome]:
    """Yield outcomes as they arrive, and print a line for each on standard error."""
    for done in as_completed(runs):
        outcome = done.result()
        print(outcome.text(), file=sys.stderr, flush=True)
        yield outcome


def _open_states(folder: Path, batches: TextBatches, text: TextSettings) -> TeacherStates:
    corpus = StateCorpus(batches.corpus_identity, batches.blocks, batches.length, text.masking.content(), None)
    device, settings = torch.device("cpu"), StatesSettings(teacher=str(folder))
    states = open_states(settings, corpus, batches.tokenizer, Precision(torch.float32, "as set"), device)
    assert states is not None
    return states


def _train(task: TrainingTask, batches: Batches, plan: Plan, seed: int, rate: float, folder: Path) -> float:
    """Run the training loop; return its seconds."""
    steps = plan.steps
    loop = LoopSettings(steps=steps, batch_size=BATCH, seed=seed, log_every=100, evaluate_every=0, save_every=steps)
    optimizer = OPTIMIZER.model_copy(update={"lr": rate, "warmup": steps // 20})
    began = time.monotonic()
    train(TrainingRun(task, batches, optimizer, loop, Ranks(), folder, {}))
    return time.monotonic() - began


def _asked(model: BertForMaskedLM, tokenizer: TextTokenizer, seed: int) -> dict[str, dict[str, float]]:
    """Return the results of all tests of a student."""
    world = data.make_world(seed)
    model.eval()
    return {
        CLOZE: cloze(model, tokenizer, world.held_out),
        PROBE: probe(model, tokenizer, world),
        STATED: cloze(model, tokenizer, world.stated),
    }


@contextlib.contextmanager
def _quiet(log: Path, seed: int) -> Iterator[None]:
    """Use one thread and a seed, and write the loop's lines to a file."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    with log.open("w") as stream, contextlib.redirect_stdout(stream):
        yield


if __name__ == "__main__":
    sys.exit(main())
