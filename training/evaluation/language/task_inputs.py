"""A model's inputs: texts tokenised and padded batch by batch; contexts of SQuAD cut into windows.

Windows are made once, because one question gives several; labelled texts and choices are tokenised on the fly, so that
nothing of the size of a data set is held twice.

Shapes: B rows, L tokens, C choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from training.evaluation.language.finetuning_recipe import FineTuningRecipe
from training.evaluation.language.tasks.task_examples import MISPLACED, Choice, Example, Labelled, Question

Inputs = dict[str, torch.Tensor]
"""Named arguments of a model's `forward`; `labels` or `start_positions` and `end_positions` among them."""

_LONGEST_QUESTION: Final = 64
"""Tokens of a question; the rest is cut, as in the reference script of SQuAD."""
_NO_CONTEXT: Final = -1
"""Characters of a token that is not context."""


class ListDataset(Dataset[Any]):
    """A sequence as a PyTorch data set."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        return self.items[number]


@dataclass(frozen=True)
class LabelledInputs:
    """Collator of labelled texts: [B, L], padded to the longest."""

    tokenizer: Any
    max_length: int

    def __call__(self, examples: Sequence[Labelled]) -> Inputs:
        """Tokenise; if a pair is too long, its longer text is cut."""
        second = [example.second or "" for example in examples] if examples[0].second is not None else None
        batch = self.tokenizer(
            [example.first for example in examples],
            second,
            truncation=True,
            max_length=self.max_length,
            padding=True,
            return_tensors="pt",
        )
        return {**batch, "labels": torch.tensor([example.label for example in examples])}


@dataclass(frozen=True)
class ChoiceInputs:
    """Collator of choices: [B, C, L], padded to the longest."""

    tokenizer: Any
    max_length: int

    def __call__(self, examples: Sequence[Choice]) -> Inputs:
        """Tokenise each ending after its beginning."""
        choices = len(examples[0].endings)
        batch = self.tokenizer(
            [example.first for example in examples for _ in example.endings],
            [ending for example in examples for ending in example.endings],
            truncation=True,
            max_length=self.max_length,
            padding=True,
            return_tensors="pt",
        )
        inputs = {name: value.unflatten(0, (len(examples), choices)) for name, value in batch.items()}
        return {**inputs, "labels": torch.tensor([example.label for example in examples])}


@dataclass(frozen=True)
class Window:
    """A question with a part of its context."""

    question: int
    """Index of the question."""
    inputs: dict[str, NDArray[np.int32]]
    """`input_ids`, and `token_type_ids` if the tokenizer makes them; [L]."""
    span_L2: NDArray[np.int32]
    """For each token the characters of the context that it covers; -1 if it is not context."""
    start: int
    """Index of the answer's first token; 0, the first special token, if the window does not hold the answer."""
    end: int
    """Index of the answer's last token."""


def windows(questions: Sequence[Question], tokenizer: Any, recipe: FineTuningRecipe) -> list[Window]:
    """Return all windows of all questions, in order.

    Windows of a context begin `stride` tokens apart, like ``doc_stride`` of the released scripts; transformers'
    tokenizers take the overlap of neighbours instead, which depends on the length of the question.

    Args:
        questions: questions with the contexts to cut.
        tokenizer: a fast tokenizer of transformers.
        recipe: its `max_length` and `stride`.
    """
    cut: list[Window] = []
    specials = tokenizer.num_special_tokens_to_add(pair=True)
    longest = min(_LONGEST_QUESTION, (recipe.max_length - specials) // 2)
    for number, question in enumerate(questions):
        asked = _first_tokens(question.question.lstrip(), tokenizer, longest)
        room = recipe.max_length - specials - len(tokenizer.tokenize(asked))
        pieces = tokenizer(
            asked,
            question.context,
            truncation="only_second",
            max_length=recipe.max_length,
            stride=max(0, room - recipe.stride) if recipe.stride else 0,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        cut.extend(_window(number, question, pieces, piece) for piece in range(len(pieces["input_ids"])))
    return cut


@dataclass(frozen=True)
class WindowInputs:
    """Collator of windows: [B, L], padded to the longest."""

    tokenizer: Any

    def __call__(self, batch_windows: Sequence[Window]) -> Inputs:
        """Pad, and add the positions of the answers."""
        batch = self.tokenizer.pad(
            [{name: value.tolist() for name, value in window.inputs.items()} for window in batch_windows],
            padding=True,
            return_tensors="pt",
        )
        return {
            **batch,
            "start_positions": torch.tensor([window.start for window in batch_windows]),
            "end_positions": torch.tensor([window.end for window in batch_windows]),
        }


def trainable(questions: Sequence[Example]) -> list[Example]:
    """Return the questions whose first answer is at its stated position, and those without answers."""
    return [
        question
        for question in questions
        if not isinstance(question, Question) or not question.answers or question.answers[0].start != MISPLACED
    ]


def _first_tokens(text: str, tokenizer: Any, count: int) -> str:
    """Return the part of a text that its first `count` tokens cover."""
    spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return text if len(spans) <= count else text[: spans[count - 1][1]]


def _window(number: int, question: Question, pieces: Any, piece: int) -> Window:
    inputs = {
        name: np.asarray(pieces[name][piece], dtype=np.int32)
        for name in ("input_ids", "token_type_ids")
        if name in pieces
    }
    span_L2 = np.asarray(pieces["offset_mapping"][piece], dtype=np.int32)
    context_L = np.asarray([sequence == 1 for sequence in pieces.sequence_ids(piece)])
    span_L2[~context_L] = _NO_CONTEXT
    start, end = _target(question, span_L2, context_L)
    return Window(number, inputs, span_L2, start, end)


def _target(question: Question, span_L2: NDArray[np.int32], context_L: NDArray[np.bool_]) -> tuple[int, int]:
    """Return first and last token of the first answer; (0, 0), the first special token, if it is not all in here."""
    tokens = np.flatnonzero(context_L)
    if not question.answers or not len(tokens):
        return 0, 0
    first, last = question.answers[0].start, question.answers[0].start + len(question.answers[0].text)
    begins_L, ends_L = span_L2[tokens, 0], span_L2[tokens, 1]
    if first < begins_L[0] or last > ends_L[-1]:
        return 0, 0
    start = int(np.searchsorted(begins_L, first, side="right")) - 1
    end = int(np.searchsorted(ends_L, last, side="left"))
    return int(tokens[start]), int(tokens[end])
