"""Examples as a model takes them: texts tokenised and padded a batch at a time; contexts of SQuAD cut into windows.

`Windows` are made once, because one question gives several; labelled texts and choices are tokenised as they come, so
that nothing of the size of a data set is held twice.

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

from training.evaluation.language.language_settings import Recipe
from training.evaluation.language.tasks.task_examples import MISPLACED, Choice, Example, Labelled, Question

Inputs = dict[str, torch.Tensor]
"""Named arguments of a model's `forward`; `labels` or `start_positions` and `end_positions` among them."""

_LONGEST_QUESTION: Final = 64  # tokens; the rest of a question is cut, as in the reference script of SQuAD
_NOWHERE: Final = -1


class Listed(Dataset[Any]):
    """A sequence as a data set."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        return self.items[number]


@dataclass(frozen=True)
class LabelledInputs:
    """Turns labelled texts into a batch: [B, L], padded to the longest."""

    tokenizer: Any
    max_length: int

    def __call__(self, examples: Sequence[Labelled]) -> Inputs:
        """Tokenise; of a pair the longer text is cut."""
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
    """Turns choices into a batch: [B, C, L], padded to the longest."""

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
    """Number of the question."""
    inputs: dict[str, NDArray[np.int32]]
    """`input_ids`, and `token_type_ids` where the tokenizer makes them; [L]."""
    span_L2: NDArray[np.int32]
    """For each token the characters of the context it covers; -1 for what is no context."""
    start: int
    """Place of the answer's first token; 0, the first special token, where the window does not hold the answer."""
    end: int
    """Place of the answer's last token."""


def windows(questions: Sequence[Question], tokenizer: Any, recipe: Recipe) -> list[Window]:
    """All windows of all questions, in order.

    Windows of a context begin `stride` tokens apart, as with ``doc_stride`` of the released scripts; transformers'
    tokenizers ask for what neighbours share instead, which depends on the room that a question leaves.

    Args:
        questions: what to cut.
        tokenizer: a fast tokenizer of transformers.
        recipe: its `max_length` and `stride`.
    """
    found: list[Window] = []
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
        found.extend(_window(number, question, pieces, piece) for piece in range(len(pieces["input_ids"])))
    return found


@dataclass(frozen=True)
class WindowInputs:
    """Turns windows into a batch: [B, L], padded to the longest."""

    tokenizer: Any

    def __call__(self, found: Sequence[Window]) -> Inputs:
        """Pad; the answer's place comes along."""
        batch = self.tokenizer.pad(
            [{name: value.tolist() for name, value in window.inputs.items()} for window in found],
            padding=True,
            return_tensors="pt",
        )
        return {
            **batch,
            "start_positions": torch.tensor([window.start for window in found]),
            "end_positions": torch.tensor([window.end for window in found]),
        }


def trainable(questions: Sequence[Example]) -> list[Example]:
    """Questions whose first answer stands where it is said to, and those without answers."""
    return [
        question
        for question in questions
        if not isinstance(question, Question) or not question.answers or question.answers[0].start != MISPLACED
    ]


def _first_tokens(text: str, tokenizer: Any, count: int) -> str:
    """The part of a text that its first tokens cover."""
    spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return text if len(spans) <= count else text[: spans[count - 1][1]]


def _window(number: int, question: Question, pieces: Any, piece: int) -> Window:
    inputs = {
        name: np.asarray(pieces[name][piece], dtype=np.int32)
        for name in ("input_ids", "token_type_ids")
        if name in pieces
    }
    span_L2 = np.asarray(pieces["offset_mapping"][piece], dtype=np.int32)
    context_L = np.asarray([place == 1 for place in pieces.sequence_ids(piece)])
    span_L2[~context_L] = _NOWHERE
    start, end = _target(question, span_L2, context_L)
    return Window(number, inputs, span_L2, start, end)


def _target(question: Question, span_L2: NDArray[np.int32], context_L: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last token of the first answer; the first special token where this window does not hold all of it."""
    places = np.flatnonzero(context_L)
    if not question.answers or not len(places):
        return 0, 0
    first, last = question.answers[0].start, question.answers[0].start + len(question.answers[0].text)
    begins_L, ends_L = span_L2[places, 0], span_L2[places, 1]
    if first < begins_L[0] or last > ends_L[-1]:
        return 0, 0
    start = int(np.searchsorted(begins_L, first, side="right")) - 1
    end = int(np.searchsorted(ends_L, last, side="left"))
    return int(places[start]), int(places[end])
