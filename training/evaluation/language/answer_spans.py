"""Answers to SQuAD's questions from a model's logits: the best span of all windows, or "no answer" if it scores higher.

As in the reference script, candidates combine the `n_best` starts and ends of a window into spans of at most `longest`
tokens; a span is considered only in the window with the most context around its first token, and scores the sum of
both logits. "No answer" scores the lowest sum at the first special token of all windows.

Shapes: L tokens, K best positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.evaluation.language.task_inputs import Window
from training.evaluation.language.tasks.task_examples import Question

Floats = NDArray[np.floating]


def best_answers(
    questions: Sequence[Question],
    windows: Sequence[Window],
    logits: Sequence[tuple[Floats, Floats]],
    *,
    may_abstain: bool,
    n_best: int = 20,
    longest: int = 30,
) -> dict[str, str]:
    """Return the answer to each question by its key; empty for "no answer".

    Args:
        questions: all questions.
        windows: their windows.
        logits: start and end logits [L] of each window; values beyond a window's tokens are ignored.
        may_abstain: allow "no answer" (SQuAD 2.0); otherwise the best span is the answer, however unlikely.
        n_best: number of starts and of ends to combine.
        longest: highest number of tokens in an answer.
    """
    best: dict[int, tuple[float, str]] = {}
    null: dict[int, float] = {}
    for window, widest_L, (start_L, end_L) in zip(windows, _widest(windows), logits, strict=True):
        number = window.question
        null[number] = min(null.get(number, np.inf), float(start_L[0] + end_L[0]))
        span = _best_span(window, widest_L, start_L, end_L, n_best, longest)
        if span and (number not in best or span[0] > best[number][0]):
            begin, end = span[1:]
            best[number] = (span[0], questions[number].context[begin:end])
    answers = {}
    for number, question in enumerate(questions):
        score, text = best.get(number, (-np.inf, ""))
        answers[question.key] = "" if may_abstain and null.get(number, np.inf) > score else text
    return answers


def _widest(windows: Sequence[Window]) -> list[NDArray[np.bool_]]:
    """Return for each window a mask of the context tokens for which no other window has more surrounding context.

    A window's surrounding context counts the smaller of the tokens before and after, plus a hundredth of its length
    (``token_is_max_context``).
    """
    best: dict[tuple[int, int], tuple[float, int]] = {}  # window, by question and first character
    for number, window in enumerate(windows):
        begins = window.span_L2[window.span_L2[:, 0] >= 0, 0].tolist()
        for position, begin in enumerate(begins):
            score = min(position, len(begins) - 1 - position) + 0.01 * len(begins)
            if score > best.get((window.question, begin), (-1.0, -1))[0]:
                best[window.question, begin] = (score, number)
    return [
        np.asarray(
            [begin >= 0 and best[window.question, begin][1] == number for begin in window.span_L2[:, 0].tolist()]
        )
        for number, window in enumerate(windows)
    ]


def _best_span(
    window: Window, widest_L: NDArray[np.bool_], start_L: Floats, end_L: Floats, n_best: int, longest: int
) -> tuple[float, int, int] | None:
    """Return score, first and last character of a window's best span; None if no span is allowed."""
    length = len(window.span_L2)
    start_K, end_K = _best_positions(start_L[:length], n_best), _best_positions(end_L[:length], n_best)
    tokens_KK = end_K[None, :] - start_K[:, None] + 1
    context_L = window.span_L2[:, 0] >= 0
    allowed_KK = (tokens_KK >= 1) & (tokens_KK <= longest) & widest_L[start_K][:, None] & context_L[end_K][None, :]
    scores_KK = np.where(allowed_KK, start_L[start_K][:, None] + end_L[end_K][None, :], -np.inf)
    row, column = np.unravel_index(int(np.argmax(scores_KK)), scores_KK.shape)
    score = float(scores_KK[row, column])
    if not np.isfinite(score):
        return None
    return score, int(window.span_L2[start_K[row], 0]), int(window.span_L2[end_K[column], 1])


def _best_positions(logits_L: Floats, count: int) -> NDArray[np.intp]:
    return np.argsort(-logits_L, kind="stable")[:count]
