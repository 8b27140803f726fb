"""Answers from the logits of windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.language_tasks import question_about
from transformers import AutoTokenizer

from training.evaluation.language.answer_spans import best_answers
from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.task_inputs import Window, windows


def test_logits_at_the_right_place_give_the_right_answer_over_windows(bert: Path) -> None:
    context = "the cat and the dog walk. " * 12 + "the ball is yellow. " + "a man cut paper. " * 12
    questions = [question_about("q", context, "yellow"), question_about("none", "a man cut paper.", None)]
    found = windows(questions, AutoTokenizer.from_pretrained(bert), FineTuningRecipe(max_length=48, stride=16))
    logits = []
    for window in found:
        start_L, end_L = np.zeros(60), np.zeros(60)  # longer than the window, as padded logits are
        start_L[window.start], end_L[window.end] = 5.0, 5.0
        start_L[50:], end_L[50:] = 9.0, 9.0
        logits.append((start_L, end_L))
    assert best_answers(questions, found, logits, may_abstain=True) == {"q": "yellow", "none": ""}


def shows_most(found: list[Window], begin: int) -> int:
    """The first window with most context around the token that begins there, as the released scripts count it."""
    rooms = []
    for window in found:
        begins = [span[0] for span in window.span_L2.tolist() if span[0] >= 0]
        place = begins.index(begin) if begin in begins else -1
        rooms.append(min(place, len(begins) - 1 - place) + 0.01 * len(begins) if place >= 0 else -1)
    return rooms.index(max(rooms))


@pytest.mark.parametrize("seed", range(4))
def test_best_spans_are_those_of_a_plain_search(bert: Path, seed: int) -> None:
    context = "the red ball and the blue cup and a black box. " * 3
    questions = [question_about("q", context, "red")]
    found = windows(questions, AutoTokenizer.from_pretrained(bert), FineTuningRecipe(max_length=32, stride=8))
    draw = np.random.default_rng(seed)
    logits = [(draw.normal(size=len(w.span_L2)), draw.normal(size=len(w.span_L2))) for w in found]
    best, text = -np.inf, ""
    for number, (window, (start_L, end_L)) in enumerate(zip(found, logits, strict=True)):
        for i in range(len(start_L)):
            if window.span_L2[i, 0] < 0 or shows_most(found, window.span_L2[i, 0]) != number:
                continue
            for j in range(i, min(i + 5, len(end_L))):
                inside = window.span_L2[i, 0] >= 0 and window.span_L2[j, 0] >= 0
                if inside and start_L[i] + end_L[j] > best:
                    best = start_L[i] + end_L[j]
                    text = context[window.span_L2[i, 0] : window.span_L2[j, 1]]
    answers = best_answers(questions, found, logits, may_abstain=False, n_best=99, longest=5)
    assert answers == {"q": text}
