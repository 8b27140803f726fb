"""Scores of one model at several numbers of frames, and how far its embeddings of a clip agree between them.

Shapes: N videos, M texts, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from runtime.errors import UserError
from training.engine.parallel.distributed import Ranks
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalSet
from training.evaluation.video.embeddings import EmbeddingOptions, embed_texts, embed_videos
from training.evaluation.video.models.video_text_model import VideoTextModel
from training.evaluation.video.retrieval_scores import retrieval_scores


@dataclass(frozen=True)
class LengthScores:
    """Scores of a model that sees its clips in one way, beside those of the reference: the last way."""

    frames: str
    """Number of frames of a clip, or `by duration`."""
    t2v_r1: float
    """Percent."""
    v2t_r1: float
    """Percent."""
    cosine: float
    """Mean cosine between the embeddings of a clip here and in the reference."""
    lowest_cosine: float
    """The lowest of these."""
    same_nearest: float
    """Percent of the texts whose nearest clip is the one that it is in the reference."""


def score_lengths(
    model: VideoTextModel,
    benchmark: RetrievalSet,
    options: EmbeddingOptions,
    lengths: Sequence[int],
    ranks: Ranks | None = None,
) -> list[LengthScores]:
    """Embed the videos of a benchmark in each way, and compare them; collective.

    Args:
        model: the model, in evaluation mode, under the autocast to use.
        benchmark: videos and texts; a video that fails in one way is left out in all, with its texts.
        options: batches and threads; if it has buckets, clips by duration are scored too.
        lengths: numbers of frames; the largest is the reference.
        ranks: ranks of this job.

    Raises:
        UserError: no video can be used.
    """
    ranks = ranks or Ranks()
    ways = {} if options.buckets is None else {"by duration": options}
    ways |= {str(count): replace(options, frames=count, buckets=None) for count in sorted(set(lengths))}
    videos: dict[str, torch.Tensor] = {}
    present_N = torch.ones(len(benchmark.items), dtype=torch.bool)
    for name, own in ways.items():
        videos[name], absent = embed_videos(model, benchmark.items, own, ranks)
        present_N[list(absent)] = False
    if not bool(present_N.any()):
        raise UserError(f"{benchmark.name}: none of {len(benchmark.items)} videos could be used")
    owner_M = torch.tensor(benchmark.owner, dtype=torch.int64)
    asked_M = present_N[owner_M]
    owner_M = (present_N.cumsum(0) - 1)[owner_M[asked_M]]
    text_MD = embed_texts(model, benchmark.texts, ranks)[asked_M]
    return compare_lengths({name: video_ND[present_N] for name, video_ND in videos.items()}, text_MD, owner_M)


def compare_lengths(
    videos: Mapping[str, torch.Tensor], text_MD: torch.Tensor, owner_M: torch.Tensor
) -> list[LengthScores]:
    """Score the embeddings of the same videos in several ways.

    Args:
        videos: unit vectors [N, D] by way; the last is the reference.
        text_MD: unit vectors of the texts.
        owner_M: for each text the index of its video.
    """
    reference_ND = list(videos.values())[-1]
    nearest_M = (text_MD @ reference_ND.T).argmax(dim=1)
    rows = []
    for name, video_ND in videos.items():
        scores = retrieval_scores(video_ND, text_MD, owner_M)
        cosine_N = (video_ND * reference_ND).sum(dim=1)
        same_M = (text_MD @ video_ND.T).argmax(dim=1) == nearest_M
        rows.append(
            LengthScores(
                frames=name,
                t2v_r1=scores["t2v_r1"],
                v2t_r1=scores["v2t_r1"],
                cosine=float(cosine_N.mean()),
                lowest_cosine=float(cosine_N.min()),
                same_nearest=100 * float(same_M.double().mean()),
            )
        )
    return rows
