"""Training pairs for the claim encoder: labelled pairs of claims, turned and altered so that only the meaning counts.

In labelled pairs the true claims are worded anew and the false ones are not, so an encoder could learn to distrust the
wording of its evidence. Against that, every text is evidence, true claim and false claim in turn, and alterations by
rule (a colour, a number, a place, two things exchanged, a negation) make false claims of reworded ones, too. Claims
that leave something out are true, those that add something are false, and other captions may stand beside the evidence.
Half of the claims are about a part of a caption, as those of a rewrite are (`bench.partial_claims`).
Pure, given a random generator.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bench.claim_pairs import ClaimPair
from bench.partial_claims import false_claims, foreign_claim, mixed_claim, parsed, true_claims

_GROUPS: Final = tuple(
    tuple(group.split())
    for group in (
        "red blue green yellow black white brown orange pink purple gray silver",
        "one two three four five six seven eight several",
        "man woman boy girl child dog cat horse cow sheep elephant bird bear",
        "on under behind beside above inside",
        "left right",
        "small large tiny huge",
        "young old",
        "open closed",
        "standing sitting running lying jumping",
        "wooden metal plastic stone",
        "day night",
        "with without",
        "empty full",
        "car bus truck train bicycle motorcycle boat plane",
        "table bench bed couch floor chair",
        "street beach kitchen bathroom park forest field",
    )
)
_GROUP_OF: Final = {word: group for group in _GROUPS for word in group}
_ADDED: Final = frozenset(word for group in (_GROUPS[0], _GROUPS[5], _GROUPS[6], _GROUPS[9]) for word in group)
_SMALL_WORDS: Final = frozenset(
    re.findall(
        "[a-z]+",
        "a an the is are of in on to and with at it that by for from up has his her its their there some while as next "
        "being sitting standing",
    )
)
_WORD: Final = re.compile(r"[A-Za-z]+")
_FREQUENT: Final = 300
_OTHER_CAPTION: Final = 0.25
_ALTERED: Final = 0.3
_PARTIAL: Final = 0.5
_LISTED: Final = 0.12
_MIXED: Final = 0.32
_FOREIGN: Final = 0.42
_TURNED: Final = 0.5


@dataclass(frozen=True)
class Example:
    """One piece of evidence with a true and a false claim, for one step of training."""

    true: tuple[str, str]
    """Evidence and claim."""
    false: tuple[str, str]
    """Evidence and claim; the evidence may be another than that of the true claim."""


def examples(
    pairs: Sequence[ClaimPair], rng: random.Random, *, partial: bool = True
) -> Iterator[tuple[ClaimPair, Example]]:
    """Yield each pair with one example of it, in random order: another one each time.

    Args:
        pairs: labelled pairs.
        rng: source of all choices.
        partial: make claims about parts of captions, too (`bench.partial_claims`; needs spaCy).
    """
    order = list(pairs)
    rng.shuffle(order)
    for pair in order:
        if partial and rng.random() < _PARTIAL:
            example = _partial(pair, rng.choice(order), rng)
        elif rng.random() < _ALTERED:
            example = _altered(_turned(pair, rng), rng)
        else:
            example = _turned(pair, rng)
        if rng.random() < _OTHER_CAPTION:
            example = _beside(example, rng.choice(order).evidence, rng)
        yield pair, example


def _partial(pair: ClaimPair, other: ClaimPair, rng: random.Random) -> Example:
    """Return an example whose claims are about a part of the evidence, where the captions allow it."""
    first, second, third, fourth = map(parsed, (pair.evidence, pair.supported, pair.unsupported, other.evidence))
    caption, paraphrase = rng.choice([(first, second), (second, first)])
    true = true_claims(rng.choice([caption, caption, paraphrase]), rng)
    false = false_claims(caption, paraphrase, third, rng)
    if not true:
        return _turned(pair, rng)
    kind = rng.random()
    named = [claim for claim in true_claims(caption, rng) if claim not in caption.shorter]
    if kind < _LISTED and named:
        evidence = ", ".join(caption.phrases)
        against = foreign_claim(caption, paraphrase, fourth, rng) if rng.random() < _TURNED else None
        return Example((evidence, rng.choice(named)), (evidence, against or caption.text))
    if kind < _MIXED and (mixed := mixed_claim(caption, fourth) or mixed_claim(fourth, caption)):
        evidence = f"{caption.text.rstrip(' .')}. {fourth.text.rstrip(' .')}."
        return Example((evidence, rng.choice(true + true_claims(fourth, rng))), (evidence, mixed))
    if kind < _FOREIGN and (foreign := foreign_claim(caption, paraphrase, fourth, rng)):
        return Example((caption.text, rng.choice(true)), (caption.text, foreign))
    if not false:
        return Example((caption.text, rng.choice(true)), (caption.text, pair.unsupported))
    return Example((caption.text, rng.choice(true)), (caption.text, rng.choice(false)))


def _turned(pair: ClaimPair, rng: random.Random) -> Example:
    """Return an example in which any of the three texts may be evidence or claim."""
    first, second, false = pair.evidence, pair.supported, pair.unsupported
    if rng.random() >= _TURNED:
        return Example((first, second), (first, false))
    evidence, claim = rng.choice([(first, second), (second, first)])
    against = rng.choice([(first, false), (second, false), (false, first), (false, second)])
    return Example((evidence, claim), against)


def _altered(example: Example, rng: random.Random) -> Example:
    """Return an example whose claims are altered by rule, where the texts allow it."""
    evidence, claim = example.true
    kind = rng.choice(["replaced", "exchanged", "shortened", "shortened", "same"])
    if kind == "same":
        return Example((evidence, evidence), example.false)
    if kind == "shortened":
        shorter = without_details(claim, rng)
        return Example((evidence, shorter), (shorter, claim)) if shorter != claim else example
    false = replaced(claim, rng) if kind == "replaced" else exchanged(claim, rng)
    return Example(example.true, (evidence, false)) if false is not None else example


def _beside(example: Example, other: str, rng: random.Random) -> Example:
    def joined(evidence: str) -> str:
        texts = [evidence.rstrip(" .") + ".", other.rstrip(" .") + "."]
        rng.shuffle(texts)
        return " ".join(texts)

    (evidence, claim), (against, false) = example.true, example.false
    return Example((joined(evidence), claim), (joined(against), false))


def replaced(text: str, rng: random.Random) -> str | None:
    """Return a text with one word of a closed class replaced by another of its class; None without such a word."""
    found = [match for match in _WORD.finditer(text) if match[0].lower() in _GROUP_OF]
    if not found:
        return None
    match = rng.choice(found)
    others = [word for word in _GROUP_OF[match[0].lower()] if word != match[0].lower()]
    return text[: match.start()] + rng.choice(others) + text[match.end() :]


def exchanged(text: str, rng: random.Random) -> str | None:
    """Return a text in which two words of one closed class have changed places; None without two."""
    found = [match for match in _WORD.finditer(text) if match[0].lower() in _GROUP_OF]
    counts = Counter(_GROUP_OF[match[0].lower()] for match in found)
    group = next((group for group, count in counts.items() if count >= 2), None)
    if group is None:
        return None
    one, other = sorted(rng.sample([m for m in found if _GROUP_OF[m[0].lower()] is group], 2), key=lambda m: m.start())
    if one[0].lower() == other[0].lower():
        return None
    return text[: one.start()] + other[0] + text[one.end() : other.start()] + one[0] + text[other.end() :]


def without_details(text: str, rng: random.Random) -> str:
    """Return a text without one of its colours, sizes or materials, or without what follows its last comma."""
    found = [match for match in _WORD.finditer(text) if match[0].lower() in _ADDED]
    head, comma, _ = text.rpartition(", ")
    if comma and len(head.split()) >= 5 and (not found or rng.random() < _TURNED):
        return head + "."
    if not found:
        return text
    match = rng.choice(found)
    before, after = text[: match.start()].rstrip(), text[match.end() :].lstrip()
    if before.lower().endswith((" a", " an")) or before.lower() in ("a", "an"):
        before = re.sub(r"\b([Aa])n?$", lambda m: m[1] + ("n" if after[:1].lower() in "aeiou" else ""), before)
    return f"{before} {after}".strip()


@dataclass(frozen=True)
class Parts:
    """Labelled pairs in three parts that share no picture."""

    train: list[ClaimPair]
    choose: list[ClaimPair]
    """For choices, such as thresholds and the number of epochs."""
    held: list[ClaimPair]
    """Looked at only when all choices are made."""


def split(pairs: Sequence[ClaimPair], train: int = 1400, choose: int = 400, seed: int = 7) -> Parts:
    """Split pairs by picture; the sizes are those at which the next part begins."""
    found = sorted(groups(pairs), key=lambda group: min(pairs[index].id for index in group))
    random.Random(seed).shuffle(found)
    parts = Parts([], [], [])
    for group in found:
        part = parts.train if len(parts.train) < train else parts.choose if len(parts.choose) < choose else parts.held
        part += [pairs[index] for index in group]
    return parts


def groups(pairs: Sequence[ClaimPair], shared: float = 0.6) -> list[list[int]]:
    """Return the positions of pairs by picture: pairs whose captions share most of their words belong together.

    Several captions of one picture must not be on both sides of a split. The share is the cosine of the captions'
    words, weighted by their rarity; groups are those that a chain of such captions connects.
    """
    import numpy as np

    words = [frozenset(re.findall("[a-z0-9]+", pair.evidence.lower())) - _SMALL_WORDS for pair in pairs]
    counts = Counter(word for own in words for word in own)
    numbers = {word: number for number, word in enumerate(counts)}
    weights = np.zeros((len(pairs), len(numbers)), np.float32)
    for row, own in enumerate(words):
        for word in own:
            weights[row, numbers[word]] = np.log(len(pairs) / counts[word])
    weights /= np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-6)
    rare = weights[:, [counts[word] < _FREQUENT for word in numbers]]
    leader = list(range(len(pairs)))

    def find(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    for row in range(len(pairs)):
        for other in np.flatnonzero(rare[row + 1 :] @ rare[row] > shared) + row + 1:
            leader[find(int(other))] = find(row)
    found: dict[int, list[int]] = {}
    for index in range(len(pairs)):
        found.setdefault(find(index), []).append(index)
    return list(found.values())
