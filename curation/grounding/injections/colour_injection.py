"""Another colour: *a red car* becomes *a blue car*."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from curation.grounding.injections.donors import Donors
from curation.grounding.injections.injection import AlteredText, InjectionKind, Parse, ParsedToken
from curation.grounding.injections.text_edits import replaced

_GROUPS: Final = (
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
_GROUP_OF: Final = {name: group[0] for group in _GROUPS for name in group}
_PLACES: Final = frozenset({"amod", "acomp", "attr", "oprd", "compound", "conj", "pobj", "nmod", "dobj"})


def _alter(parse: Parse, donors: Donors, chance: random.Random) -> Iterator[AlteredText]:
    for token in parse:
        group = _GROUP_OF.get(token.lower_)
        if group is None or token.dep_ not in _PLACES or _is_fruit(token):
            continue
        others = [name for name, *_ in _GROUPS if name != group and not _may_be_taken_for(name, group)]
        for new in chance.sample(others, len(others)):
            introduced = next(names for names in _GROUPS if names[0] == new)
            yield AlteredText(replaced(parse, (token.i, token.i + 1, new)), introduced)


def _is_fruit(token: ParsedToken) -> bool:
    """Return True for *an orange*, *the lime*: a thing, not a colour."""
    has_article = any(child.dep_ == "det" for child in token.lefts)
    return has_article and token.pos_ in ("NOUN", "PROPN")


def _may_be_taken_for(one: str, other: str) -> bool:
    return any(one in alike and other in alike for alike in _ALIKE)


COLOUR: Final = InjectionKind("colour", _alter)
"""Another colour."""
