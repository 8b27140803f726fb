"""Scores every clip of a DIR with a model: one shard after another, each committed as a whole.

    media/*.tar + text/<layer>/*.parquet -> scores/<name>/*.parquet, *.clip.npy, *.text.npy

A second run does what is missing, and what was made from media or texts that have changed since. Under torchrun all
ranks embed a share of each shard, and the first one writes.

Shapes: N clips of a shard, D embedding.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from runtime.errors import UserError
from runtime.progress_bar import progress_bar
from runtime.run_lock import locked_dir
from shards.artifact import Artifact
from shards.manifest import StageMark, read_stage, write_stage
from shards.scores.match import MATCH, PERCENTILE, cosines, percentiles
from shards.scores.score_set import FOLDER, STAGE
from shards.scores.score_writer import ShardScores, commit_scores, score_schema
from shards.storage.store import Store
from training.engine.parallel.distributed import Ranks, gather_objects
from training.evaluation.scoring.scores_plan import FAILED, ScoreRequest, ScoresPlan, plan_scores
from training.evaluation.scoring.shard_clips import ShardClips, read_clips
from training.evaluation.video.embeddings import EmbeddingOptions, embed_texts, embed_videos, truncated_texts
from training.evaluation.video.models.video_text_model import VideoTextModel

CLIP: Final = "clip"
TEXT: Final = "text"
_SCHEMA: Final = score_schema({MATCH: pa.float32(), PERCENTILE: pa.float32()})


@dataclass(frozen=True)
class DirScorer:
    """A model and how clips are handed to it."""

    model: VideoTextModel
    options: EmbeddingOptions
    ranks: Ranks


def score_dir(root: str, scorer: DirScorer, request: ScoreRequest, *, replace: bool = False) -> tuple[ScoresPlan, int]:
    """Score the shards of a DIR that lack scores, or whose media or texts have changed since.

    Args:
        root: the DIR, by path or URL.
        scorer: the model, on the ranks' device.
        request: the scores to make; it names the model's weights.
        replace: if the score set exists with other settings, make a new one beside it and swap when complete.

    Returns:
        The plan as it was carried out, and the number of shards that were scored.

    Raises:
        UserError: see `plan_scores`; or the embeddings are not finite.
        ShardError: not a DIR, another run writes its scores, or a table is unreadable.
        MachineError: this machine is at fault.
    """
    store = Store(root)
    plan = _same_plan(store, request, replace, scorer.ranks)
    if plan.up_to_date:
        return plan, 0
    with ExitStack() as stack:
        if scorer.ranks.is_main:
            stack.enter_context(locked_dir(Store(store.path(FOLDER)), "--shards"))
            store.mend_folders(FOLDER)  # a killed run may have been replacing a score set
        plan = _same_plan(store, request, replace, scorer.ranks)  # another run may have ended just now
        if scorer.ranks.is_main:
            _begin(plan, request)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clipgrove-scores-")))
        with progress_bar(f"shards of {store.root}") as advance:
            for done, shard in enumerate(plan.work.todo):
                advance(done, len(plan.work.todo))
                _score_shard(plan, shard, scorer, request, scratch)
        if plan.building != plan.folder and scorer.ranks.is_main:
            store.replace_folder(plan.building, plan.folder)
    return plan, len(plan.work.todo)


def _same_plan(store: Store, request: ScoreRequest, replace: bool, ranks: Ranks) -> ScoresPlan:
    """Return the plan of the first rank on all of them: the others may look when it has already committed a shard."""
    plan = plan_scores(store, request, replace=replace)
    return gather_objects(plan, ranks)[0]


def _begin(plan: ScoresPlan, request: ScoreRequest) -> None:
    """Write the record of the score set, which readers find its vectors by."""
    plan.store.sweep(plan.building)
    settings = {
        "command": "eval-vidla score",
        "model": request.model,
        "frames": request.frames,
        "text": list(request.columns),
        "layer": plan.layer,
        "vectors": {CLIP: request.model, TEXT: request.model},
    }
    mark = StageMark(STAGE, plan.content_hash, settings, models={request.model: request.weights})
    if read_stage(plan.store, plan.building) != mark:
        write_stage(plan.store, plan.building, mark)


def _score_shard(plan: ScoresPlan, shard: int, scorer: DirScorer, request: ScoreRequest, scratch: Path) -> None:
    clips = read_clips(plan.store, shard, plan.layer, request.columns)
    vectors, counts = _vectors(clips, scorer)
    if not scorer.ranks.is_main:
        return
    matches_N = cosines(vectors[CLIP], vectors[TEXT])
    percentiles_N = percentiles(vectors[CLIP], vectors[TEXT], clips.videos)
    counts["matched"] = int(np.isfinite(matches_N).sum())
    counts["without_percentile"] = counts["matched"] - int(np.isfinite(percentiles_N).sum())
    columns = {
        "key": pa.array(clips.keys, pa.string()),
        "shard": pa.array([shard] * len(clips.keys), pa.int32()),
        MATCH: pa.array(matches_N, pa.float32(), from_pandas=True),  # NaN becomes null
        PERCENTILE: pa.array(percentiles_N, pa.float32(), from_pandas=True),
    }
    figures = {name: float(count) for name, count in counts.items()}
    record = Artifact(STAGE, plan.content_hash, inputs=plan.inputs[shard], counts=figures)
    made = ShardScores(shard, pa.table(columns, schema=_SCHEMA), vectors)
    commit_scores(plan.store, scratch, plan.building, made, record, plan.folder)


@torch.inference_mode()
def _vectors(clips: ShardClips, scorer: DirScorer) -> tuple[dict[str, NDArray[np.float16]], Counter[str]]:
    """Return the vectors of the clips and of their texts, a row of NaN where there is none, and counts by reason."""
    model, ranks = scorer.model, scorer.ranks
    clip_ND, failed = embed_videos(model, clips.items, scorer.options, ranks, advance=_silent)
    clip_ND[list(failed)] = torch.nan
    with_text = [number for number, text in enumerate(clips.texts) if text is not None]
    texts = [text for text in clips.texts if text is not None]
    text_ND = torch.full((len(clips.texts), model.embed_dim), torch.nan)
    text_ND[with_text] = embed_texts(model, texts, ranks)
    _check_finite(clip_ND, len(failed))
    _check_finite(text_ND, len(clips.texts) - len(texts))
    counts = Counter({"clips": len(clips.keys), "without_text": len(clips.texts) - len(texts)})
    counts.update(f"{FAILED}{reason}" for reason in failed.values())
    counts["truncated_texts"] = truncated_texts(model, texts)
    return {CLIP: _stored(clip_ND), TEXT: _stored(text_ND)}, counts


def _check_finite(rows_ND: torch.Tensor, missing: int) -> None:
    if int((~rows_ND.isfinite().all(dim=1)).sum()) > missing:
        raise UserError("embeddings are not finite: these weights have diverged; use an earlier checkpoint")


def _stored(rows_ND: torch.Tensor) -> NDArray[np.float16]:
    stored: NDArray[np.float16] = rows_ND.numpy().astype(np.float16)
    return stored


def _silent(done: int, total: int) -> None:
    pass
