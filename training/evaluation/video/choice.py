"""Scores of multiple choice: the share of videos whose own sentence is the nearest of those offered.

Shapes: N questions, M sentences of all questions, D embedding.
"""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

import torch

from training.evaluation.benchmarks.retrieval.multiple_choice import PUBLISHED, MultipleChoice
from training.evaluation.video.embeddings import Embeddings


class ChoiceScores(TypedDict):
    """Accuracy in percent, and what it was counted over."""

    benchmark: str
    accuracy: float
    """Percent of the videos with an embedding; sentences that are equally near share the point."""
    questions: int
    """Videos that were scored."""
    absent: dict[str, int]
    """Videos without an embedding, by reason."""
    left_out: dict[str, int]
    """Rows of the file that are no question, by reason."""
    comparable: bool
    """True if these are all questions of the published file."""


def score_choice(questions: MultipleChoice, embedded: Embeddings) -> ChoiceScores:
    """Score the embeddings of `MultipleChoice.pairs`."""
    owner_M = torch.tensor(questions.pairs.owner)
    cosine_M = (embedded.video_ND[owner_M] * embedded.text_MD).sum(dim=1)
    hits = [
        _share(cosine_M[owner_M == number], answer)
        for number, answer in enumerate(questions.answers)
        if number not in embedded.absent
    ]
    return {
        "benchmark": "msrvtt multiple choice",
        "accuracy": 100 * sum(hits) / len(hits) if hits else 0.0,
        "questions": len(hits),
        "absent": dict(Counter(embedded.absent.values())),
        "left_out": dict(questions.left_out),
        "comparable": len(hits) == PUBLISHED and not questions.left_out,
    }


def summary(scores: ChoiceScores) -> str:
    """Return the line to print."""
    counts = {**scores["absent"], **scores["left_out"]}
    missing = f"; without: {', '.join(f'{count} {reason}' for reason, count in counts.items())}" if counts else ""
    comparable = "" if scores["comparable"] else f" (not comparable: the published file has {PUBLISHED} questions)"
    return f"{scores['benchmark']}: {scores['accuracy']:.1f} % of {scores['questions']} videos{missing}{comparable}"


def _share(cosine_K: torch.Tensor, answer: int) -> float:
    """Return 1 if the answer is the nearest, a share if others are as near, otherwise 0."""
    best = cosine_K == cosine_K.max()
    return float(best[answer]) / int(best.sum())
