"""Another place: that of another video (*in a kitchen*), or the opposite side (*on the table*, *under the table*)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from curation.grounding.injections.donors import Donors, places_in
from curation.grounding.injections.injection import AlteredText, InjectionKind
from curation.grounding.injections.text_edits import replaced
from curation.grounding.parsing.claim_parser import Parse
from curation.grounding.parsing.word_values import OPPOSITE_POSITIONS, OPPOSITE_SIDES

_CANDIDATES: Final = 8
_OPPOSITE: Final = OPPOSITE_POSITIONS | OPPOSITE_SIDES
_UNDER: Final = {"on": "under", "under": "on top of"}
_LONGEST: Final = 3


def _alter(parse: Parse, donors: Donors, chance: random.Random) -> Iterator[AlteredText]:
    for first, end, old in places_in(parse):
        others = [place for place in donors.places if place.lemma != old.lemma]
        for new in chance.sample(others, min(_CANDIDATES, len(others))):
            yield AlteredText(replaced(parse, (first, end, new.text)), (new.lemma,))
        word = parse[first].lower_
        if word in _UNDER:
            yield AlteredText(replaced(parse, (first, first + 1, _UNDER[word])), (_UNDER[word].split()[-1],))
    yield from _other_side(parse)


def _other_side(parse: Parse) -> Iterator[AlteredText]:
    words = [token.lower_ for token in parse]
    for first in range(len(words)):
        for length in range(_LONGEST, 0, -1):
            opposite = _OPPOSITE.get(" ".join(words[first : first + length]))
            if opposite is not None and first + length <= len(words) and parse[first].pos_ != "VERB":
                yield AlteredText(replaced(parse, (first, first + length, opposite)), (opposite,))


PLACE: Final = InjectionKind("place", _alter)
"""Another place."""
