"""What a language task is made of: labelled texts, questions with answers in a context, choices between endings.

`readers` and `squad` make these of published files, `data` gathers them into the splits of a task, `encode` turns them
into what a model takes.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

MISPLACED: Final = -1
"""Start of an answer that is not found at its place in the context: it is scored by its text, never trained on."""


@dataclass(frozen=True)
class Labelled:
    """A text, or two, of one of several classes."""

    key: str
    """Where it was read, for messages."""
    first: str
    second: str | None
    label: int
    group: str
    """Examples of one group are never divided between training and scoring."""
    tags: tuple[str, ...] = ()
    """Categories it is also scored by."""


@dataclass(frozen=True)
class Choice:
    """A beginning and several endings, of which one is right."""

    key: str
    first: str
    endings: tuple[str, ...]
    label: int
    """Place of the right ending."""
    group: str


@dataclass(frozen=True)
class Answer:
    """Words of a context that answer a question."""

    text: str
    start: int
    """Characters before it in the context; `MISPLACED` where it does not stand where it is said to."""


@dataclass(frozen=True)
class Question:
    """A question about a context; without answers it can't be answered from there."""

    key: str
    """Its id in the data set."""
    context: str
    question: str
    answers: tuple[Answer, ...]
    group: str


Example = Labelled | Choice | Question


@dataclass(frozen=True)
class Split:
    """Examples that are trained on, or scored."""

    examples: tuple[Example, ...]
    files: tuple[str, ...]
    """Names of the files they come from."""
    notes: tuple[str, ...] = ()
    """What a reader of the scores should know of it."""

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def identity(self) -> str:
        """Sixteen hex digits over the examples: equal ones mean equal examples in equal order."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(repr(replace(example, key="")).encode())
        return digest.hexdigest()[:16]

    def some(self, most: int | None, name: str) -> Split:
        """At most `most` examples, drawn at random but always the same ones, in their order; `name` is for the note."""
        if most is None or len(self) <= most:
            return self
        chosen = sorted(random.Random(0).sample(range(len(self)), most))
        note = f"{name}: {most} of {len(self)} examples"
        return replace(self, examples=tuple(self.examples[n] for n in chosen), notes=(*self.notes, note))


def divide(split: Split, share: float) -> tuple[Split, Split]:
    """A labelled split as training and scoring examples; the same division always, and no group on both sides.

    Args:
        split: all examples.
        share: of the examples that are scored, between 0 and 1; met as nearly as groups allow.

    Raises:
        ValueError: there are not two groups.
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
    """The first groups that hold `wanted` examples together; at least one, never all."""
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
