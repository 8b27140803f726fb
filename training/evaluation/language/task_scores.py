"""Score a fine-tuned model on the splits of a task with the task's metric."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from training.evaluation.language.answer_spans import best_answers
from training.evaluation.language.language_metrics import (
    Percentages,
    choice_scores,
    constant_score,
    diagnostic_scores,
    pair_scores,
    squad_scores,
)
from training.evaluation.language.task_finetuning import FineTunedModel
from training.evaluation.language.tasks.language_task import LanguageTask
from training.evaluation.language.tasks.task_examples import Labelled, Question, Split


def score_splits(
    tuned: FineTunedModel, task: LanguageTask, splits: Mapping[str, Split]
) -> tuple[Percentages, dict[str, Percentages]]:
    """Return the scores of all splits, and scores by category if the task has categories.

    Scores of the first split have plain names, those of the others are named ``split_name``.
    """
    scores: Percentages = {}
    categories: dict[str, Percentages] = {}
    for number, (split, examples) in enumerate(splits.items()):
        own, by_tag = _score(tuned, task, examples)
        scores.update(own if number == 0 else {f"{split}_{name}": value for name, value in own.items()})
        categories.update(by_tag)
    return scores, categories


def constant_answer_score(task: LanguageTask, split: Split) -> float:
    """Return the main score, in percent, of a model that always gives the same answer."""
    if task.metric == "correlation":
        return 0.0
    questions = _questions(split)
    if questions:  # "no answer" is right for every question without answers
        return 100 * sum(not question.answers for question in questions) / len(questions)
    return constant_score(_labels(split))


def _score(tuned: FineTunedModel, task: LanguageTask, split: Split) -> tuple[Percentages, dict[str, Percentages]]:
    questions = _questions(split)
    if questions:
        answers = best_answers(questions, *tuned.spans(questions), may_abstain=task.metric == "answers_or_none")
        return squad_scores(questions, answers), {}
    logits_NK = torch.from_numpy(tuned.logits(split.examples)).float()
    if task.metric == "correlation":
        return diagnostic_scores(logits_NK, [example for example in split.examples if isinstance(example, Labelled)])
    score = pair_scores if task.metric == "accuracy_f1" else choice_scores
    return score(logits_NK, torch.tensor(_labels(split))), {}


def _questions(split: Split) -> list[Question]:
    return [example for example in split.examples if isinstance(example, Question)]


def _labels(split: Split) -> list[int]:
    return [example.label for example in split.examples if not isinstance(example, Question)]
