"""Assembly of the runs of ``train-vidlankd teacher`` and ``student``: data, model, task, loop.

Each function reads from top to bottom in the order of the run. Loop, checkpoints and ranks are in `training.engine`.
"""

from __future__ import annotations

from pathlib import Path

from training.corpus.block_batches import TextBatches
from training.engine.parallel.distributed import Ranks
from training.engine.precision import choose_precision
from training.engine.run_setup import PreparedRun, prepare_ranks, run_loop
from training.models.vidlankd.teacher_model import NoFeatures, build_teacher
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.student.student_task import StudentTask, build_student
from training.vidlankd.student.teacher_states import StateCorpus, TeacherStates, open_states
from training.vidlankd.teacher.clip_text_batches import (
    ClipTextBatches,
    HeldOutClips,
    build_collator,
    describe_texts,
    open_source,
)
from training.vidlankd.teacher.feature_choice import open_features
from training.vidlankd.teacher.teacher_task import TeacherTask
from training.vidlankd.vidlankd_settings import StudentSettings, TeacherSettings, check_positions

_EVALUATION_BATCH = 64
"""Held-out rows in a batch of a rank."""


def run_teacher(settings: TeacherSettings, output: Path, resume: str) -> int:
    """Train a teacher on clips, their texts and features.

    Args:
        settings: settings of the run.
        output: folder of the run.
        resume: see `training.engine.training_loop.train`.

    Returns:
        Exit status.

    Raises:
        UserError: settings, data or checkpoint do not fit together; raised before the first step.
        NonFiniteLoss: a loss is not finite.
    """
    ranks = prepare_ranks(settings, output)
    data, loop = settings.data, settings.loop
    features = open_features(data) if settings.loss.contrastive else None  # the text-only control uses no features
    source = open_source(data, loop.seed)
    tokenizer = TextTokenizer.from_uri(settings.model.tokenizer)
    model = build_teacher(settings.model, tokenizer, features or NoFeatures())
    pin = ranks.device.type == "cuda"
    collator = build_collator(data, features, tokenizer, settings.model.block, settings.model.max_rows, pin)
    batches = ClipTextBatches(source, collator, loop.batch_size, data.clips_per_root, ranks)
    held_out = HeldOutClips.of(data, collator, min(_EVALUATION_BATCH, loop.batch_size), ranks)
    task = TeacherTask(model, tokenizer, settings.loss, settings.compute, ranks, held_out or ())
    scored = f"{len(held_out)} held out" if held_out else "nothing held out: no scores while training"
    used = f"features {features.name}" if features else "no features"
    header = {"model": task.header(), "data": f"{source.num_roots} roots of {' '.join(data.shards)}, {used}; {scored}"}
    header["text"] = describe_texts(source)
    return run_loop(PreparedRun(settings, output, ranks, task, batches, header), resume)


def run_student(settings: StudentSettings, output: Path, resume: str) -> int:
    """Train a student on tokenised text, with a teacher's states or without; for the arguments see `run_teacher`."""
    ranks = prepare_ranks(settings, output)
    batches = TextBatches(
        settings.data,
        global_batch=settings.loop.batch_size,
        ranks=ranks,
        seed=settings.loop.seed,
        pin=ranks.device.type == "cuda",
    )
    tokenizer = batches.tokenizer
    check_positions(settings, batches.length)
    states = _open_states(settings, batches, ranks)
    model = build_student(settings.model, settings.loss, tokenizer, states)
    held_out = batches.held_out(min(_EVALUATION_BATCH, settings.loop.batch_size))
    task = StudentTask(
        model,
        tokenizer,
        settings.loss,
        settings.compute,
        ranks,
        states=states,
        held_out=held_out,
        seed=settings.loop.seed,
    )
    corpora = " ".join(settings.data.corpus)
    header = {"model": task.header(), "data": f"{batches.blocks} blocks of {batches.length} tokens of {corpora}"}
    return run_loop(PreparedRun(settings, output, ranks, task, batches, header), resume)


def _open_states(settings: StudentSettings, batches: TextBatches, ranks: Ranks) -> TeacherStates | None:
    corpus = StateCorpus.of(batches, settings.data.masking)
    precision = choose_precision(settings.compute.precision, ranks.device)
    return open_states(settings.teacher, corpus, batches.tokenizer, precision, ranks.device)
