"""Scores of the language tasks against figures worked out by hand."""

from __future__ import annotations

import pytest
import torch

from training.evaluation.language.language_metrics import (
    choice_scores,
    constant_score,
    diagnostic_scores,
    pair_scores,
    squad_scores,
)
from training.evaluation.language.tasks.task_examples import AnswerSpan, Labelled, Question


def logits(*predicted: int, classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(predicted), classes).float()


def asked(key: str, *answers: str) -> Question:
    return Question(key, "context", "question", tuple(AnswerSpan(text, 0) for text in answers), "context")


def test_accuracy_is_the_share_of_right_choices() -> None:
    assert choice_scores(logits(0, 1, 2, 0, classes=3), torch.tensor([0, 1, 1, 2])) == {"accuracy": 50.0}


def test_f1_of_pairs_is_that_of_duplicates() -> None:
    found = pair_scores(logits(1, 1, 1, 0, classes=2), torch.tensor([1, 0, 0, 1]))
    # precision 1/3, recall 1/2
    assert found == pytest.approx({"accuracy": 25.0, "f1": 100 * 2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)})


def test_diagnostic_correlation_is_matthews_for_two_classes_by_its_formula() -> None:
    examples = [Labelled(str(n), "p", "h", label, "p", ("Logic",)) for n, label in enumerate((0, 0, 0, 2, 2, 2))]
    overall, categories = diagnostic_scores(logits(0, 0, 2, 2, 2, 0, classes=3), examples)
    # of class 2: TP 2, TN 2, FP 1, FN 1
    assert overall["mcc"] == pytest.approx(100 * (2 * 2 - 1 * 1) / (3 * 3 * 3 * 3) ** 0.5)
    assert categories["Logic"] == pytest.approx({**overall, "examples": 6.0})


def test_a_constant_diagnostic_answer_has_no_correlation() -> None:
    examples = [Labelled(str(n), "p", "h", n % 3, "p") for n in range(6)]
    assert diagnostic_scores(logits(0, 0, 0, 0, 0, 0, classes=3), examples)[0]["mcc"] == 0.0


def test_squad_ignores_case_articles_and_punctuation_and_shares_words_in_f1() -> None:
    questions = [asked("a", "The red ball", "red"), asked("b", "two men")]
    assert squad_scores(questions, {"a": "Red ball!", "b": "men walking"}) == {"exact": 50.0, "f1": 75.0}


def test_squad2_counts_no_answer_as_right_for_questions_without_answers() -> None:
    found = squad_scores([asked("a", "red"), asked("b"), asked("c")], {"a": "red", "b": "", "c": "blue"})
    assert found["exact"] == pytest.approx(200 / 3)
    assert (found["answerable_exact"], found["unanswerable_f1"]) == (100.0, 50.0)


def test_a_constant_answer_scores_the_share_of_the_most_frequent_label() -> None:
    assert constant_score([0, 1, 1, 1]) == 75.0
