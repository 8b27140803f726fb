"""Names of what the embedded tagger sees: a class of ImageNet, or the kind of thing that several classes share. Pure.

A small network often knows that it sees a cat and not which one: it spreads its confidence over *tabby*, *tiger cat*
and *Egyptian cat*. The kind then has the sum of it. ImageNet's own hierarchy is in no package of its names, so that the
kinds are listed here; they are those that an everyday word has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

_KINDS: Final[Mapping[str, Collection[int]]] = {
    "shark": range(2, 5),
    "bird": {*range(7, 25), *range(80, 101), *range(127, 147)},
    "frog": range(30, 33),
    "turtle": range(33, 38),
    "lizard": range(38, 49),
    "snake": range(52, 69),
    "spider": range(72, 78),
    "crab": range(118, 122),
    "dog": range(151, 269),
    "fox": range(277, 281),
    "cat": range(281, 286),
    "bear": range(294, 298),
    "beetle": range(300, 308),
    "butterfly": range(321, 327),
    "rabbit or hare": range(330, 333),
    "ape": range(365, 370),
    "monkey": range(370, 383),
    "elephant": (101, 385, 386),
    "fish": {0, 1, *range(389, 398)},
    "boat": (472, 554, 576, 625, 814),
    "bus": (654, 779, 874),
    "clock": (409, 530, 892),
    "computer": (527, 590, 620),
    "guitar": (402, 546),
    "motorbike": (665, 670),  # moped, motor scooter
    "tie": (451, 457, 906),
    "train": (466, 547, 565, 705, 820),
    "truck": (555, 569, 675, 717, 864, 867),
}
"""Numbers of the classes of each kind."""
_SAID: Final[Mapping[str, str]] = {"moped": "motorbike"}
"""Everyday names of classes that are wider than their name: ImageNet's mopeds are motorcycles, too."""
_NO_ARTICLE: Final = frozenset(
    {
        *(
            "binoculars",
            "brass",
            "chain mail",
            "chocolate sauce",
            "corn",
            "dough",
            "eggnog",
            "face powder",
            "guacamole",
        ),
        *(
            "guacamole",
            "hair spray",
            "hay",
            "lotion",
            "mashed potato",
            "parallel bars",
            "red wine",
            "sunglasses",
            "sunscreen",
        ),
        *("swimming trunks", "toilet tissue", "velvet", "wool"),
    }
)
"""Names of stuff and of pairs."""


def kinds(confidences: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Yield each kind with its confidence: the sum of those of its classes.

    Args:
        confidences: one for each of ImageNet's thousand classes, in order.
    """
    for name, numbers in _KINDS.items():
        yield name, sum(confidences[number] for number in numbers)


def with_article(name: str) -> str:
    """Return a name as English says it of one thing: ``a lion``, ``an obelisk``, ``binoculars``."""
    name = _SAID.get(name, name)
    if name.casefold() in _NO_ARTICLE:
        return name
    return f"{'an' if name[0].casefold() in 'aeiou' and not name.startswith('uni') else 'a'} {name}"
