"""Percentages of the language tasks, in percent, by torchmetrics and by transformers' port of SQuAD's official script.

Shapes: N examples, K classes or choices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torchmetrics.functional import classification as tm

from training.evaluation.language.tasks.task_examples import Labelled, Question

Percentages = dict[str, float]
"""Scores in percent by name."""


def choice_scores(logits_NK: torch.Tensor, label_N: torch.Tensor) -> Percentages:
    """Return the accuracy among classes or choices."""
    classes = logits_NK.shape[1]
    return {"accuracy": _percent(tm.multiclass_accuracy(logits_NK, label_N, classes, average="micro"))}


def pair_scores(logits_N2: torch.Tensor, label_N: torch.Tensor) -> Percentages:
    """Return the accuracy, and F1 of the second class (QQP's duplicates)."""
    predicted_N = logits_N2.argmax(dim=1)
    return {**choice_scores(logits_N2, label_N), "f1": _percent(tm.binary_f1_score(predicted_N, label_N))}


def diagnostic_scores(
    logits_NK: torch.Tensor, examples: Sequence[Labelled]
) -> tuple[Percentages, dict[str, Percentages]]:
    """Return Matthews' correlation of K classes (GLUE's R3) and accuracy on the diagnostic set, also by category."""
    label_N = torch.tensor([example.label for example in examples])
    by_tag: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        for tag in example.tags:
            by_tag.setdefault(tag, []).append(number)
    categories = {
        tag: {**_correlation(logits_NK[rows], label_N[rows]), "examples": float(len(rows))}
        for tag, rows in sorted(by_tag.items())
    }
    return _correlation(logits_NK, label_N), categories


def squad_scores(questions: Sequence[Question], answers: Mapping[str, str]) -> Percentages:
    """Return exact match and F1; if some questions have no answer, also for those with and those without answers.

    Raises:
        KeyError: a question has no prediction.
    """
    from transformers.data.metrics.squad_metrics import squad_evaluate

    asked = [_Asked(q.key, [{"text": answer.text} for answer in q.answers]) for q in questions]
    results: Mapping[str, float] = squad_evaluate(asked, {q.key: answers[q.key] for q in questions})
    names = {"exact": "exact", "f1": "f1"}
    if any(not question.answers for question in questions):
        names |= {
            f"{ours}_{kind}": f"{theirs}_{kind}"
            for ours, theirs in (("answerable", "HasAns"), ("unanswerable", "NoAns"))
            for kind in ("exact", "f1")
        }
    return {ours: float(results[theirs]) for ours, theirs in names.items() if theirs in results}


def constant_score(labels: Sequence[int]) -> float:
    """Return the accuracy in percent of always giving the most frequent label; never below chance."""
    return 100 * max(labels.count(label) for label in set(labels)) / len(labels)


@dataclass(frozen=True)
class _Asked:
    """A question in the form that `squad_evaluate` takes."""

    qas_id: str
    answers: list[dict[str, str]]


def _correlation(logits_NK: torch.Tensor, label_N: torch.Tensor) -> Percentages:
    classes = logits_NK.shape[1]
    correlation = tm.multiclass_matthews_corrcoef(logits_NK.argmax(dim=1), label_N, classes)
    return {"mcc": _percent(correlation), **choice_scores(logits_NK, label_N)}


def _percent(share: Any) -> float:
    return 100 * float(share)
