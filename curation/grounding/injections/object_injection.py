"""Another object, from a claim of another video: *a cat sleeps* becomes *a truck sleeps*."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from curation.grounding.injections.donors import PEOPLE, Donors, Noun, noun_of, objects_in
from curation.grounding.injections.injection import AlteredText, InjectionKind
from curation.grounding.injections.text_edits import noun_span, replaced
from curation.grounding.parsing.claim_parser import Parse

_CANDIDATES: Final = 8
"""Objects that are proposed for each noun."""
_TRIED: Final = 64
"""Objects that are looked at for that."""


def _alter(parse: Parse, donors: Donors, chance: random.Random) -> Iterator[AlteredText]:
    nouns = objects_in(parse)
    for token in chance.sample(nouns, len(nouns)):
        old = noun_of(token)
        tried = chance.sample(donors.objects, min(_TRIED, len(donors.objects)))
        for new in [other for other in tried if _can_replace(other, old)][:_CANDIDATES]:
            yield AlteredText(replaced(parse, (*noun_span(token), new.text)), (new.lemma,))


def _can_replace(new: Noun, old: Noun) -> bool:
    both_people = new.lemma in PEOPLE and old.lemma in PEOPLE
    shared = set(new.text.lower().split()) & set(old.text.lower().split())
    return new.is_plural == old.is_plural and new.lemma != old.lemma and not both_people and not shared


OBJECT: Final = InjectionKind("object", _alter)
"""Another object."""
