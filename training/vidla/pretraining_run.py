"""A run of ``train-vidla``: settings in; model, data, loss and loop put together; exit status out.

Reads top to bottom in the order of events: ranks connect, the model is built, the data is opened, the log's header is
printed, the loop runs.
"""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError
from training.data.clip_loader import TrainBatches
from training.data.clip_source import ClipSource
from training.data.long_texts import LongTexts
from training.data.sources.source_registry import open_clip_source
from training.engine.parallel.distributed import Ranks
from training.engine.run_setup import PreparedRun, prepare_ranks, run_loop
from training.evaluation.video.held_out_retrieval import HeldOutRetrieval
from training.models.vidla.initial_weights import build_model
from training.models.vidla.two_tower import VidLA
from training.vidla.bucket_facts import length_facts
from training.vidla.clean_facts import clean_facts
from training.vidla.contrastive_task import VidlaTask
from training.vidla.text_terms import texts_line
from training.vidla.vidla_settings import VidlaSettings


def run_pretraining(settings: VidlaSettings, output: Path, resume: str) -> int:
    """Train as `settings` say.

    Args:
        settings: all settings of the run, with the terms of the loss.
        output: the run's folder.
        resume: see `training.engine.training_loop.train`.

    Returns:
        Exit status.

    Raises:
        UserError: a setting does not fit the model or the data; before the first step.
        NonFiniteLoss: a loss is infinite or not a number.
    """
    ranks = prepare_ranks(settings, output)
    model = build_model(settings.model, settings.loss.kind)
    source = open_source(settings)
    batches = open_batches(settings, source, model, ranks)
    held_out = HeldOutRetrieval.of(settings.data, settings.loss, settings.evaluation, settings.model.frames, ranks)
    facts = clean_facts(settings.model.init, settings.data) | length_facts(settings.data)
    buckets = batches.buckets.counts if batches.buckets else ()
    score = held_out.score if held_out else None
    task = VidlaTask(model, settings.loss, settings.compute, ranks, score, facts, buckets, settings.parallel)
    scored = f"{len(held_out)} clips held out" if held_out else "nothing held out: no scores while training"
    data = f"{source.num_roots} roots of {' '.join(settings.data.shards)}; {scored}"
    header = header_lines(settings, task.header(), data)
    if ranks.is_main:
        header["texts"] = texts_line(settings)
    scored_on = "clips of the split val of the shards" if held_out else ""
    return run_loop(PreparedRun(settings, output, ranks, task, batches, header, scored_on), resume)


def header_lines(settings: VidlaSettings, trained: str, data: str) -> dict[str, str]:
    """Return the lines about model and data for the log's header.

    Args:
        settings: of the run.
        trained: one line about the model.
        data: one line about the data that is trained on and scored.
    """
    return {"model": f"{settings.model.init}: {trained}, {frames_line(settings)}", "data": data}


def frames_line(settings: VidlaSettings) -> str:
    """Return the number of frames of a clip in words."""
    data = settings.data
    if data.frames_per_second is None:
        return f"{settings.model.frames} frames"
    return f"{', '.join(map(str, data.frame_buckets))} frames, at most {data.frames_per_second:g} a second"


def open_source(settings: VidlaSettings) -> ClipSource:
    """Open the training split of the data that `settings.data` names.

    Raises:
        UserError: no data is named, or a setting does not fit it.
        ShardError: the data can't be read.
    """
    if not settings.data.shards:
        raise UserError("--shards: name at least one folder that `curate run` wrote")
    roots = settings.loop.batch_size // settings.data.clips_per_root
    return open_clip_source(settings.data, settings.loss.columns_by_term, settings.loop.seed, roots_a_batch=roots)


def open_batches(settings: VidlaSettings, source: ClipSource, model: VidLA, ranks: Ranks) -> TrainBatches:
    """Return the batches of this rank, in the order of the source."""
    return TrainBatches(
        source,
        global_batch=settings.loop.batch_size,
        clips_per_root=settings.data.clips_per_root,
        ranks=ranks,
        tokenizer=model.tokenizer,
        frames=settings.model.frames,
        settings=settings.data,
        pin=ranks.device.type == "cuda",
        long_texts=LongTexts(model.tokenizer.count, model.tokenizer.context, settings.loss.long_texts),
    )
