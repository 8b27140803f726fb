"""A choice of clips by a recipe: the reason of each clip that is left out, and what each condition takes away.

Conditions apply in a fixed order: the selection to begin with, licence, contamination, `where`, duplicates, balance,
top, sample. A clip has the reason of the first condition that it does not fulfil. Limits (the last five) look only at
the clips that all conditions before them have kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation.selection.choosing.choice_facts import LICENCE, ChoiceFacts, where_names
from curation.selection.choosing.found_clips import DuplicateGroups
from curation.selection.choosing.limits import Mask, at_most, drawn, largest
from curation.selection.choosing.recipe import Recipe, TopSettings

DUPLICATE: Final = "duplicate"
BALANCE: Final = "balance"
TOP: Final = "top"
SAMPLE: Final = "sample"


@dataclass(frozen=True)
class Amount:
    """A number of clips, and their time without counting a second twice: clips of one level never overlap."""

    clips: int
    root_seconds: float
    """Length of those that are roots (they have no parent)."""
    short_seconds: float
    """Length of those of the level short."""


@dataclass(frozen=True)
class Step:
    """One condition, and the clips that it takes away."""

    name: str
    """Name of the condition: that of its setting in the recipe."""
    condition: str
    """The condition, for people."""
    alone: Amount
    """Clips that it would take away if it were the only one."""
    in_order: Amount
    """Clips that it takes away after those before it."""
    left: Amount
    """Clips that are left after it."""


@dataclass(frozen=True)
class Matched:
    """The clips that match a benchmark."""

    numbers: NDArray[np.int32]
    """Number of the reason of each clip in `reasons`; -1 without a match."""
    reasons: list[str]


@dataclass(frozen=True)
class ClipChoice:
    """The clips that a recipe chooses."""

    reasons: tuple[str, ...]
    numbers: NDArray[np.int32]
    """Number in `reasons` of the reason why the recipe leaves a clip out; -1 for clips that it keeps, or that the
    selection to begin with leaves out already."""
    before: Amount
    """All clips."""
    base: Amount
    """Clips that the selection to begin with keeps."""
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class _Condition:
    name: str
    text: str
    keeps: Callable[[Mask], Mask]
    """Return the mask of the clips among some that fulfil it."""
    reasons: list[str]
    numbers: NDArray[np.int32] | None = None
    """Number in `reasons` for each clip; None: the first."""


def choose(
    facts: ChoiceFacts, recipe: Recipe, matched: Matched | None, duplicates: DuplicateGroups | None
) -> ClipChoice:
    """Apply the conditions of a recipe.

    Args:
        facts: of all clips.
        recipe: the conditions.
        matched: the matches with benchmarks, if the recipe asks for them.
        duplicates: the groups of duplicates, if the recipe asks for them.
    """
    reasons: list[str] = []
    numbers = np.full(len(facts.kept), -1, np.int32)
    steps = []
    left = facts.kept
    for condition in _conditions(facts, recipe, matched, duplicates):
        alone = facts.kept & ~condition.keeps(facts.kept)
        after = condition.keeps(left)
        out = left & ~after
        own = 0 if condition.numbers is None else condition.numbers[out]
        numbers[out] = len(reasons) + own
        reasons += condition.reasons
        steps.append(
            Step(condition.name, condition.text, _amount(facts, alone), _amount(facts, out), _amount(facts, after))
        )
        left = after
    everything = np.ones(len(facts.kept), bool)
    return ClipChoice(tuple(reasons), numbers, _amount(facts, everything), _amount(facts, facts.kept), tuple(steps))


def _conditions(
    facts: ChoiceFacts, recipe: Recipe, matched: Matched | None, duplicates: DuplicateGroups | None
) -> Iterator[_Condition]:
    """Yield the conditions of a recipe in the order in which they apply."""
    if recipe.licence:
        yield _Condition("licence", ", ".join(recipe.licence), _without(facts.lacks[LICENCE]), [LICENCE])
    if matched is not None:
        keeps = _without(matched.numbers >= 0)
        yield _Condition("clean_of", ", ".join(recipe.clean_of), keeps, matched.reasons, matched.numbers)
    for name, text in zip(where_names(recipe), recipe.where, strict=True):
        yield _Condition(name, text, _without(facts.lacks[name]), [name])
    if duplicates is not None:
        yield _Condition("dedup", str(recipe.dedup), duplicates.without_repeats, [DUPLICATE])
    yield from _limits(facts, recipe)


def _limits(facts: ChoiceFacts, recipe: Recipe) -> Iterator[_Condition]:
    if recipe.balance is not None:
        by = f"{recipe.balance.by}, at most {recipe.balance.most} of each"
        yield _Condition("balance", by, partial(_balanced, facts, recipe.balance.most), [BALANCE])
    if recipe.top is not None:
        by = f"{recipe.top.number} with the {recipe.top.order} {recipe.top.by}"
        yield _Condition("top", by, partial(_top, facts, recipe.top), [TOP])
    if recipe.sample is not None:
        number, share, unit = recipe.sample.number, recipe.sample.share, recipe.sample.unit
        by = f"{number if share is None else f'{share:.4g} of all'} {unit}s"
        yield _Condition("sample", by, lambda among: drawn(facts.units, among, number, share), [SAMPLE])


def _balanced(facts: ChoiceFacts, most: int, among: Mask) -> Mask:
    assert facts.balanced is not None
    return at_most(facts.balanced, facts.ties, among, most)


def _top(facts: ChoiceFacts, top: TopSettings, among: Mask) -> Mask:
    assert facts.values is not None
    return largest(facts.values if top.order == "largest" else -facts.values, facts.ties, among, top.number)


def _without(lacking: Mask) -> Callable[[Mask], Mask]:
    return lambda among: among & ~lacking


def _amount(facts: ChoiceFacts, mask: Mask) -> Amount:
    roots, shorts = (facts.seconds[mask & level].sum(dtype=np.float64) for level in (facts.is_root, facts.is_short))
    return Amount(int(mask.sum()), float(roots), float(shorts))
