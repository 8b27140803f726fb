"""Retrieval scores from embeddings: the rank of each query's right answer, summarized as R@K, MdR and MnR.

Pure functions of tensors. In text-to-video (T2V) every text is a query for its video. In video-to-text (V2T) every
video is a query for the best ranked of its own texts, among all texts (collaborative-experts) or, if videos have
several texts, among the videos by the nearest text of each (CLIP4Clip: `rank_groups`). Except for ties, R@1 is the
same in both.

Ties are broken at random, and every score is the exact expectation over that: a model that gives everything the same
embedding scores as chance does, and two equal sentences of two videos each come first half of the time. Dual softmax
is that of CLIP-ViP: S·softmax(100·S) over all texts, and V2T ranks the transpose of the same matrix.

Shapes: M texts, N videos, D embedding, Q queries, m texts of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from runtime.errors import UserError
from training.evaluation.video.similarity import BLOCK_BYTES, Blocks, dual_softmaxed, products, rows_a_block


@dataclass(frozen=True)
class Ranking:
    """Ranks of the right answers, one entry per query."""

    query_Q: torch.Tensor
    """int64: index of the text (T2V) or of the video (V2T) that is the query."""
    above_Q: torch.Tensor
    """int64: wrong answers that score higher than the best right one."""
    tied_Q: torch.Tensor
    """int64: wrong answers that score the same."""
    right_Q: torch.Tensor
    """int64, at least 1: right answers with that best score."""

    def __len__(self) -> int:
        return len(self.query_Q)

    def take(self, chosen_Q: torch.Tensor) -> Ranking:
        """Return the queries selected by the bool mask `chosen_Q` [Q]."""
        return Ranking(self.query_Q[chosen_Q], self.above_Q[chosen_Q], self.tied_Q[chosen_Q], self.right_Q[chosen_Q])

    def ranks(self) -> torch.Tensor:
        """Return the expected rank of the best right answer, from 1: [Q] float64.

        With one right answer this is the mean of its best and worst rank; in general the first of r marked items among
        r + t in random order has the mean position (r + t + 1) / (r + 1).
        """
        right_Q, tied_Q = self.right_Q.double(), self.tied_Q.double()
        return self.above_Q + (right_Q + tied_Q + 1) / (right_Q + 1)

    def hits(self, k: int) -> torch.Tensor:
        """Return the probability that a right answer is among the first `k`: [Q] float64; 0 or 1 without ties."""
        free_Q = k - self.above_Q
        miss_Q = torch.ones(len(self), dtype=torch.float64, device=free_Q.device)
        for place in range(k):
            wrong_Q = (self.tied_Q - place).clamp(min=0)
            missed_Q = wrong_Q / (wrong_Q + self.right_Q)
            miss_Q = torch.where(place < free_Q, miss_Q * missed_Q, miss_Q)
        return 1 - miss_Q


@dataclass(frozen=True)
class RetrievalScores:
    """Scores of one direction: recalls and their mean in percent, ranks from 1."""

    r1: float
    r5: float
    r10: float
    mean_recall: float
    """Mean of R@1, R@5 and R@10."""
    median_rank: float
    mean_rank: float
    queries: int

    def as_dict(self) -> dict[str, float]:
        """Return the scores as plain values by name."""
        return asdict(self)


def retrieval_scores(
    video_ND: torch.Tensor, text_MD: torch.Tensor, owner: Sequence[int] | torch.Tensor
) -> dict[str, float]:
    """Return the scores of both directions without dual softmax, as flat values for a training log.

    Args:
        video_ND: L2-normalised embeddings of the videos.
        text_MD: L2-normalised embeddings of the texts.
        owner: for each text the index of its video.

    Returns:
        `t2v_r1`, `t2v_r5`, `t2v_r10`, `t2v_median_rank`, `t2v_mean_rank`, the same with `v2t_`, and `mean_r1`.

    Raises:
        ValueError: as `rank_embeddings`.
    """
    directions = rank_embeddings(video_ND, text_MD, owner)
    scores = {name: summarize_ranking(ranking) for name, ranking in zip(("t2v", "v2t"), directions, strict=True)}
    names = ("r1", "r5", "r10", "median_rank", "mean_rank")
    flat = {f"{way}_{name}": getattr(scores[way], name) for way in scores for name in names}
    return flat | {"mean_r1": (scores["t2v"].r1 + scores["v2t"].r1) / 2}


def summarize_ranking(ranking: Ranking, *, missed: int = 0, worst: int = 0) -> RetrievalScores:
    """Return the recalls and the median and mean rank of a ranking.

    Args:
        ranking: queries that could be ranked.
        missed: number of queries that could not (their video is missing) and count as misses.
        worst: rank of these.

    Raises:
        ValueError: there is no query at all.
    """
    queries = len(ranking) + missed
    if not queries:
        raise ValueError("nothing to score: no text has a video")
    ranks = np.concatenate([ranking.ranks().cpu().numpy(), np.full(missed, float(worst))])
    r1, r5, r10 = (100.0 * float(ranking.hits(k).sum()) / queries for k in (1, 5, 10))
    return RetrievalScores(r1, r5, r10, (r1 + r5 + r10) / 3, float(np.median(ranks)), float(ranks.mean()), queries)


def rank_embeddings(
    video_ND: torch.Tensor,
    text_MD: torch.Tensor,
    owner: Sequence[int] | torch.Tensor,
    *,
    dual_softmax: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[Ranking, Ranking]:
    """Rank videos for every text and texts for every video, by cosine.

    Equal embeddings are multiplied once, so that equal texts tie exactly whatever the order of summation.

    Args:
        video_ND: L2-normalised embeddings of the videos.
        text_MD: L2-normalised embeddings of the texts.
        owner: for each text the index of its video; -1 for a text whose video is not among them: it is no query of
            T2V but remains a wrong answer in V2T.
        dual_softmax: rank by S·softmax(100·S over texts).
        block_bytes: approximate memory of a block of the similarity.

    Returns:
        T2V and V2T; a video without texts is no query.

    Raises:
        ValueError: shapes don't fit, an owner is out of range, or an embedding is not finite.
    """
    if video_ND.ndim != 2 or text_MD.ndim != 2 or video_ND.shape[1] != text_MD.shape[1]:
        raise ValueError(f"video {tuple(video_ND.shape)} and text {tuple(text_MD.shape)} must be rows of one width")
    if not (video_ND.isfinite().all() and text_MD.isfinite().all()):
        raise ValueError("embeddings are not finite: the model has diverged, or its input is broken")
    owner_M = _owners(owner, len(text_MD), len(video_ND), video_ND.device)
    return _rank(products(text_MD, video_ND, block_bytes), owner_M, len(video_ND), dual_softmax)


def rank_groups(
    video_ND: torch.Tensor,
    text_MD: torch.Tensor,
    owner: Sequence[int] | torch.Tensor,
    group: Sequence[int] | torch.Tensor,
    *,
    dual_softmax: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> Ranking:
    """Rank videos for every video by the nearest of their texts: V2T as in CLIP4Clip.

    Args:
        video_ND: as for `rank_embeddings`.
        text_MD: as for `rank_embeddings`.
        owner: as for `rank_embeddings`.
        group: for each text the index of the answer it belongs to; texts of one owner share it.
        dual_softmax: as for `rank_embeddings`.
        block_bytes: as for `rank_embeddings`.

    Returns:
        One query for each video with texts.
    """
    owner_M = _owners(owner, len(text_MD), len(video_ND), video_ND.device)
    group_M = torch.as_tensor(group, dtype=torch.int64, device=video_ND.device)
    blocks = products(text_MD, video_ND, block_bytes)
    blocks = dual_softmaxed(blocks, len(video_ND), video_ND.device) if dual_softmax else blocks
    best_N = _best_of_own(blocks, owner_M, len(video_ND))
    groups = int(group_M.max()) + 1
    above_N, same_N = (torch.zeros(len(video_ND), dtype=torch.int64, device=video_ND.device) for _ in range(2))
    for part in torch.arange(len(video_ND), device=video_ND.device).split(rows_a_block(groups, block_bytes)):
        best_GP = torch.full((groups, len(part)), -torch.inf, dtype=torch.float64, device=video_ND.device)
        for texts, block_mN in blocks():
            place_mP = group_M[texts][:, None].expand(-1, len(part))
            best_GP.scatter_reduce_(0, place_mP, block_mN[:, part].double(), "amax")
        above_N[part] = (best_GP > best_N[part]).sum(0)
        same_N[part] = (best_GP == best_N[part]).sum(0)
    every_N = torch.arange(len(video_ND), device=video_ND.device)
    return Ranking(every_N, above_N, same_N - 1, torch.ones_like(same_N)).take(~best_N.isnan())


def rank_matrix(
    similarity_MN: torch.Tensor,
    owner: Sequence[int] | torch.Tensor,
    *,
    dual_softmax: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[Ranking, Ranking]:
    """Do the same as `rank_embeddings` with a given similarity matrix.

    Raises:
        ValueError: shapes don't fit, an owner is out of range, or a similarity is not a number.
    """
    if similarity_MN.ndim != 2 or similarity_MN.isnan().any():
        raise ValueError("the similarity must be a matrix [texts, videos] of numbers")
    num_texts, num_videos = similarity_MN.shape
    owner_M = _owners(owner, num_texts, num_videos, similarity_MN.device)
    every_M = torch.arange(num_texts, device=similarity_MN.device)
    rows = rows_a_block(num_videos, block_bytes)

    def blocks() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield from zip(every_M.split(rows), similarity_MN.split(rows), strict=True)

    return _rank(blocks, owner_M, num_videos, dual_softmax)


def length_thirds(seconds: Sequence[float]) -> list[list[int]]:
    """Return the indices of the shortest, middle and longest third of the videos; the middle one gets the remainder.

    Raises:
        UserError: fewer than three videos.
    """
    if len(seconds) < 3:
        raise UserError(f"thirds by length: only {len(seconds)} videos; at least 3 are needed")
    order = sorted(range(len(seconds)), key=lambda video: (seconds[video], video))
    third = round(len(order) / 3)
    return [sorted(part) for part in (order[:third], order[third : len(order) - third], order[len(order) - third :])]


def _owners(owner: Sequence[int] | torch.Tensor, texts: int, videos: int, device: torch.device) -> torch.Tensor:
    owner_M = torch.as_tensor(owner, dtype=torch.int64, device=device)
    if owner_M.shape != (texts,):
        raise ValueError(f"{texts} texts but owners of shape {tuple(owner_M.shape)}")
    if texts and not (int(owner_M.min()) >= -1 and int(owner_M.max()) < videos):
        raise ValueError(f"owners are {int(owner_M.min())} to {int(owner_M.max())}, but there are {videos} videos")
    return owner_M


def _rank(blocks: Blocks, owner_M: torch.Tensor, videos: int, dual_softmax: bool) -> tuple[Ranking, Ranking]:
    if dual_softmax:
        blocks = dual_softmaxed(blocks, videos, owner_M.device)
    best_N = _best_of_own(blocks, owner_M, videos)
    above_M, tied_M = torch.zeros_like(owner_M), torch.zeros_like(owner_M)
    above_N, same_N, right_N = (torch.zeros(videos, dtype=torch.int64, device=owner_M.device) for _ in range(3))
    for texts, block_mN in blocks():
        has_m, own_m = _own(block_mN, owner_M[texts])
        above_M[texts] = (block_mN > own_m[:, None]).sum(1)
        tied_M[texts] = (block_mN == own_m[:, None]).sum(1) - 1
        above_N += (block_mN > best_N).sum(0)
        same_N += (block_mN == best_N).sum(0)
        videos_m = owner_M[texts][has_m]
        right_N.index_add_(0, videos_m, (own_m[has_m] == best_N[videos_m]).long())
    asked_M, asked_N = owner_M >= 0, ~best_N.isnan()
    assert torch.equal(asked_N, right_N > 0), "the similarity differs between two passes over it"
    every_M, every_N = (torch.arange(n, device=owner_M.device) for n in (len(owner_M), videos))
    t2v = Ranking(every_M, above_M, tied_M, torch.ones_like(owner_M)).take(asked_M)
    return t2v, Ranking(every_N, above_N, same_N - right_N, right_N).take(asked_N)


def _best_of_own(blocks: Blocks, owner_M: torch.Tensor, videos: int) -> torch.Tensor:
    """Return each video's similarity to the nearest of its own texts [N]; NaN, which equals nothing, without texts."""
    best_N = torch.full((videos,), -torch.inf, dtype=torch.float64, device=owner_M.device)
    has_N = torch.zeros(videos, dtype=torch.bool, device=owner_M.device)
    for texts, block_mN in blocks():
        has_m, own_m = _own(block_mN, owner_M[texts])
        videos_m = owner_M[texts][has_m]
        best_N.scatter_reduce_(0, videos_m, own_m[has_m].double(), "amax")
        has_N[videos_m] = True
    return best_N.masked_fill(~has_N, torch.nan)


def _own(block_mN: torch.Tensor, owner_m: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a mask of the texts that have a video, and their similarity to it (of others: to any video), both [m]."""
    return owner_m >= 0, block_mN.gather(1, owner_m.clamp(min=0)[:, None])[:, 0]
