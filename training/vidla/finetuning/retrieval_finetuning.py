"""Finetuning on a retrieval benchmark: videos with captions, and the loss of pretraining with one term."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError
from runtime.log import get_logger
from training.data.sources.file_source import FileItem, FileSource
from training.engine.parallel.distributed import Ranks
from training.engine.run_setup import PreparedRun
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet
from training.evaluation.video.embeddings import EmbeddingOptions
from training.evaluation.video.held_out_retrieval import HeldOutRetrieval
from training.models.vidla.two_tower import VidLA
from training.vidla.bucket_facts import length_facts
from training.vidla.contrastive_task import VidlaTask
from training.vidla.finetuning.finetuning_request import FinetuningRequest, data_line, held_out_of_train
from training.vidla.pretraining_run import header_lines, open_batches

_log = get_logger(__name__)


def prepare_retrieval(request: FinetuningRequest, model: VidLA, ranks: Ranks) -> PreparedRun:
    """Prepare a run on videos with captions.

    Raises:
        UserError: the benchmark's files are not as published, or no video has a file.
    """
    settings = request.settings
    pairs, scored = _divided(request)
    source = FileSource(
        training_items(pairs),
        tuple(settings.loss.columns_by_term),
        settings.loop.seed,
        augment=settings.data.augment,
        clips_per_root=settings.data.clips_per_root,
    )
    batches = open_batches(settings, source, model, ranks)
    held_out = None
    if scored is not None:
        data, clips = settings.data, settings.evaluation.batch_size
        options = EmbeddingOptions(settings.model.frames, clips, data.workers or 2, buckets=batches.buckets)
        held_out = HeldOutRetrieval(scored, options, ranks)
    score = held_out.score if held_out else None
    counts = batches.buckets.counts if batches.buckets else ()
    facts = length_facts(settings.data)
    task = VidlaTask(model, settings.loss, settings.compute, ranks, score, facts, counts, settings.parallel)
    scored_on = "" if scored is None else f"{scored.name} {scored.split}"
    header = header_lines(settings, task.header(), data_line(source.num_roots, pairs, scored_on or None))
    return PreparedRun(settings, request.output, ranks, task, batches, header, scored_on)


def _divided(request: FinetuningRequest) -> tuple[RetrievalSet, RetrievalSet | None]:
    """Return the videos to train on, and those to choose the best checkpoint on; None: no scores are asked for."""
    pairs, most = request.retrieval_set("train"), request.settings.evaluation.max_clips
    if not most:
        return pairs, None
    if (split := request.selection_split()) is not None:
        return pairs, request.retrieval_set(split).first(most)
    present = [number for number, item in enumerate(pairs.items) if item.media is not None]
    chosen = held_out_of_train([pairs.items[number].id for number in present], most)
    held_out = {present[number] for number in chosen}
    trained = pairs.part([number for number in range(len(pairs.items)) if number not in held_out], pairs.split)
    return trained, pairs.part(sorted(held_out), f"{pairs.split} ({len(held_out)} of its videos, held out)")


def training_items(pairs: RetrievalSet) -> list[FileItem]:
    """Return the videos of a split with their captions; those without a file are left out, with a warning.

    Raises:
        UserError: no video of the split has a file.
    """
    texts: list[list[str]] = [[] for _ in pairs.items]
    for text, owner in zip(pairs.texts, pairs.owner, strict=True):
        texts[owner].append(text)
    items = [
        FileItem(Path(item.media.url), item.id, own, item.start, item.end)
        for item, own in zip(pairs.items, texts, strict=True)
        if item.media is not None
    ]
    if not items:
        raise UserError(f"--videos: holds none of the {len(pairs.items)} videos of {pairs.name} {pairs.split}")
    if missing := len(pairs.missing):
        _log.warning("%s %s: %d of %d videos missing", pairs.name, pairs.split, missing, len(pairs.items))
    return items
