"""Another colour: *a red car* becomes *a blue car*."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from curation.grounding.injections.donors import Donors
from curation.grounding.injections.injection import AlteredText, InjectionKind
from curation.grounding.injections.text_edits import replaced
from curation.grounding.parsing.claim_parser import Parse, ParsedToken
from curation.grounding.parsing.word_values import COLOUR_OF, COLOURS, may_be_taken_for

_PLACES: Final = frozenset({"amod", "acomp", "attr", "oprd", "compound", "conj", "pobj", "nmod", "dobj"})


def _alter(parse: Parse, donors: Donors, chance: random.Random) -> Iterator[AlteredText]:
    for token in parse:
        group = COLOUR_OF.get(token.lower_)
        if group is None or token.dep_ not in _PLACES or _is_fruit(token):
            continue
        others = [name for name, *_ in COLOURS if not may_be_taken_for(name, group)]
        for new in chance.sample(others, len(others)):
            introduced = next(names for names in COLOURS if names[0] == new)
            yield AlteredText(replaced(parse, (token.i, token.i + 1, new)), introduced)


def _is_fruit(token: ParsedToken) -> bool:
    """Return True for *an orange*, *the lime*: a thing, not a colour."""
    has_article = any(child.dep_ == "det" for child in token.lefts)
    return has_article and token.pos_ in ("NOUN", "PROPN")


COLOUR: Final = InjectionKind("colour", _alter)
"""Another colour."""
