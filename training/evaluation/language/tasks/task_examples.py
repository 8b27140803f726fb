"""Examples of the language tasks: labelled texts, questions with answers in a context, choices between endings.

The module of each task makes them from published files, `task_data` gathers them into splits, and `task_inputs` turns
them into a model's inputs.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

MISPLACED: Final = -1
"""Start of an answer that the context does not have at the stated position: scored by its text, never trained on."""


@dataclass(frozen=True)
class Labelled:
    """One text, or a pair, of one of several classes."""

    key: str
    """File and line, for messages."""
    first: str
    second: str | None
    label: int
    group: str
    """Examples of one group are never divided between training and scoring."""
    tags: tuple[str, ...] = ()
    """Categories with scores of their own."""


@dataclass(frozen=True)
class Choice:
    """A beginning and several endings, one of which is right."""

    key: str
    first: str
    endings: tuple[str, ...]
    label: int
    """Index of the right ending."""
    group: str


@dataclass(frozen=True, repr=False)
class AnswerSpan:
    """Words of a context that answer a question."""

    text: str
    start: int
    """Number of characters before it in the context; `MISPLACED` if the context has other words there."""

    def __repr__(self) -> str:
        """Return the form that `Split.identity` hashes; another one would make the reports of earlier runs unusable."""
        return f"Answer(text={self.text!r}, start={self.start!r})"


@dataclass(frozen=True)
class Question:
    """A question about a context; without answers, the context does not answer it."""

    key: str
    """Id in the data set."""
    context: str
    question: str
    answers: tuple[AnswerSpan, ...]
    group: str


Example = Labelled | Choice | Question


@dataclass(frozen=True)
class Split:
    """Examples to train on, or to score."""

    examples: tuple[Example, ...]
    files: tuple[str, ...]
    """Names of the files that hold them."""
    notes: tuple[str, ...] = ()
    """Remarks for the report."""

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def identity(self) -> str:
        """Sixteen hex digits over the examples: equal digits mean equal examples in equal order."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(repr(replace(example, key="")).encode())
        return digest.hexdigest()[:16]

    def sample(self, most: int | None, name: str) -> Split:
        """Return at most `most` examples, always the same random ones, in their order; `name` is for the note."""
        if most is None or len(self) <= most:
            return self
        chosen = sorted(random.Random(0).sample(range(len(self)), most))
        note = f"{name}: {most} of {len(self)} examples"
        return replace(self, examples=tuple(self.examples[n] for n in chosen), notes=(*self.notes, note))


def divide(split: Split, share: float) -> tuple[Split, Split]:
    """Divide a labelled split into training and scoring examples, always in the same way, with no group in both.

    Args:
        split: all examples.
        share: share of the examples to score, between 0 and 1; met as closely as the groups allow.

    Raises:
        ValueError: there are fewer than two groups.
    """
    groups = sorted({example.group for example in split.examples})
    if len(groups) < 2:
        raise ValueError(f"{len(split)} examples of {len(groups)} text can't be divided")
    random.Random(0).shuffle(groups)
    held = _first_groups(split.examples, groups, share * len(split))
    train = tuple(example for example in split.examples if example.group not in held)
    scored = tuple(example for example in split.examples if example.group in held)
    note = f"the one labelled file is divided {len(train)} : {len(scored)} by text (holdout={share:g})"
    return (
        replace(split, examples=train, notes=(*split.notes, note)),
        replace(split, examples=scored, notes=(*split.notes, note)),
    )


def _first_groups(examples: Sequence[Example], groups: Sequence[str], wanted: float) -> set[str]:
    """Return the first groups that together hold about `wanted` examples; at least one, never all."""
    sizes: dict[str, int] = {}
    for example in examples:
        sizes[example.group] = sizes.get(example.group, 0) + 1
    held: set[str] = set()
    count = 0
    for group in groups[:-1]:
        if held and count + sizes[group] / 2 > wanted:
            break
        held.add(group)
        count += sizes[group]
    return held
