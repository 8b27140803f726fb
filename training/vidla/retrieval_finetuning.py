"""Finetuning on a retrieval benchmark: videos with captions, and the loss of pretraining with one term."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError
from runtime.log import get_logger
from training.data.sources.file_source import FileItem, FileSource
from training.engine.distributed import Ranks
from training.engine.run_setup import PreparedRun
from training.evaluation.benchmarks.retrieval_registry import retrieval_splits
from training.evaluation.benchmarks.retrieval_set import RetrievalSet
from training.evaluation.video.embeddings import EmbeddingOptions
from training.evaluation.video.held_out_retrieval import HeldOutRetrieval
from training.models.vidla.two_tower import VidLA
from training.vidla.contrastive_task import VidlaTask
from training.vidla.finetuning_request import FinetuningRequest, data_line
from training.vidla.pretraining_run import header_lines, open_batches

_log = get_logger(__name__)


def prepare_retrieval(request: FinetuningRequest, model: VidLA, ranks: Ranks) -> PreparedRun:
    """Prepare a run on videos with captions.

    Raises:
        UserError: the benchmark's files are not as published, or no video has a file.
    """
    settings = request.settings
    pairs = request.retrieval_set("train")
    source = FileSource(
        training_items(pairs),
        tuple(settings.loss.columns_by_term),
        settings.loop.seed,
        augment=settings.data.augment,
        clips_per_root=settings.data.clips_per_root,
    )
    batches = open_batches(settings, source, model, ranks)
    splits = retrieval_splits(request.benchmark)
    held_out, split = None, "val" if "val" in splits else splits[0]
    if settings.evaluation.max_clips:
        scored = request.retrieval_set(split).first(settings.evaluation.max_clips)
        options = EmbeddingOptions(settings.model.frames, settings.evaluation.batch_size, settings.data.workers or 2)
        held_out = HeldOutRetrieval(scored, options, ranks)
    task = VidlaTask(model, settings.loss, settings.compute, ranks, held_out.score if held_out else None)
    data = data_line(source.num_roots, pairs, split if held_out else None)
    return PreparedRun(settings, request.output, ranks, task, batches, header_lines(settings, task.header(), data))


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
