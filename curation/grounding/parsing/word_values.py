"""Words that exclude one another: colours, numbers, opposite places; and nouns for one thing. English; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

COLOURS: Final = (
    ("red", "crimson", "scarlet", "maroon"),
    ("blue", "navy", "azure", "turquoise", "teal", "cyan"),
    ("green", "lime", "olive"),
    ("yellow", "gold", "golden"),
    ("orange",),
    ("purple", "violet", "lilac", "lavender"),
    ("pink", "magenta"),
    ("brown", "tan", "beige", "bronze"),
    ("black",),
    ("white", "cream", "ivory"),
    ("grey", "gray", "silver", "silvery"),
)
"""Colours that may be taken for one another; the first of a group stands for it."""
_ALIKE: Final = (
    frozenset({"red", "orange", "pink", "brown"}),
    frozenset({"yellow", "orange", "white"}),
    frozenset({"blue", "purple", "green"}),
    frozenset({"grey", "white", "black"}),
    frozenset({"purple", "pink"}),
)
"""Groups between which a picture may leave a choice."""
COLOUR_OF: Final = {name: group[0] for group in COLOURS for name in group}
"""The name of each colour's group."""

NUMBER_WORDS: Final = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
"""Numbers as they are spelled, by value."""
_TEENS: Final = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES: Final = {
    **{name: value for value, name in enumerate((*NUMBER_WORDS, *_TEENS))},
    **{name: 10 * value for value, name in enumerate(_TENS, 2)},
    **{"hundred": 100, "thousand": 1000, "single": 1, "both": 2},
}
SET_NUMBERS: Final = {"couple": 2, "pair": 2, "duo": 2, "trio": 3, "dozen": 12}
"""Numbers that nouns for a set say: *a couple of dogs*."""
_LONGEST: Final = 9  # digits of a number that is counted with

_POSITIONS: Final = (
    ("above", "below"),
    ("inside", "outside"),
    ("on top of", "underneath"),
    ("in front of", "behind"),
)
_SIDES: Final = (
    ("left", "right"),
    ("indoors", "outdoors"),
    ("upstairs", "downstairs"),
    ("indoor", "outdoor"),
)
OPPOSITE_POSITIONS: Final = {one: other for pair in _POSITIONS for one, other in (pair, pair[::-1])}
"""Prepositions that place one thing by another, with their opposites."""
OPPOSITE_SIDES: Final = {one: other for pair in _SIDES for one, other in (pair, pair[::-1])}
"""Words that place a thing by themselves, with their opposites."""


def may_be_taken_for(one: str, other: str) -> bool:
    """Return True for names of colour groups between which a picture may leave a choice."""
    return one == other or any(one in alike and other in alike for alike in _ALIKE)


def number_of(word: str) -> int | None:
    """Return the value of a number in digits or in words, in lower case; None for any other word."""
    if word in _VALUES:
        return _VALUES[word]
    is_counted = word.isdecimal() and word.isascii() and len(word) <= _LONGEST
    return int(word) if is_counted else None


def word_set(words: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(words.split())


def one_of_each(groups: Iterable[str]) -> dict[str, str]:
    """Return for each word of the groups (words with spaces between them) the first word of its group."""
    return {word: group.split()[0] for group in groups for word in group.split()}


SAME_THING: Final = one_of_each(
    (
        "man guy male gentleman men",
        "woman lady female women",
        "child kid youngster toddler children",
        "person people someone somebody individual",
        "dog canine puppy",
        "cat feline kitten kitty",
        "car automobile auto",
        "bicycle bike cycle",
        "motorcycle motorbike",
        "airplane plane aircraft aeroplane",
        "sofa couch",
        "tv television",
        "photo picture image photograph",
        "road street",
        "refrigerator fridge",
        "phone cellphone telephone smartphone",
    )
)
"""Nouns for one and the same thing, each with the name under which they are compared."""
