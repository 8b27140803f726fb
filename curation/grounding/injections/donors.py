"""Words that an error may bring in: objects and places from claims of other videos. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from curation.grounding.injections.text_edits import is_noun, noun_span, phrase_span, span_text
from curation.grounding.parsing.claim_parser import Parse, ParsedToken
from curation.grounding.parsing.word_values import word_set

PEOPLE: Final = word_set(
    "man woman boy girl person people child kid adult guy lady gentleman baby toddler teenager player worker "
    "someone somebody crowd group team couple family audience actor actress speaker narrator presenter reporter"
)
"""Nouns for people: one of them may be true where another is."""
GENERAL: Final = word_set(
    "thing object item animal vehicle place scene picture image video clip frame photo screen view shot camera text "
    "background foreground side part front back top bottom middle center centre left right end time way kind type "
    "lot number pair piece color colour something anything everything nothing it front view surface area"
)
"""Nouns that say too little to be wrong."""
PLACE_WORDS: Final = frozenset({"in", "at", "inside", "outside", "on", "near", "by", "under", "behind"})
"""Prepositions that a place may follow."""
_LONGEST_PLACE: Final = 5  # tokens
_CLOTHES: Final = word_set(
    "hat shirt suit dress coat jacket uniform costume helmet jeans shorts skirt apron sweater glasses mask"
)

_NO_PLACES: Final = GENERAL | PEOPLE | _CLOTHES


@dataclass(frozen=True)
class Noun:
    """A noun that can take another's place."""

    text: str
    """With the nouns that it is compounded with."""
    lemma: str
    """Lemma of its last word, in lower case."""
    is_plural: bool


@dataclass(frozen=True)
class Place:
    """A place with its preposition."""

    text: str
    """Such as ``in a kitchen``."""
    lemma: str
    """Lemma of its noun, in lower case."""


@dataclass(frozen=True)
class Donors:
    """Words from claims of other videos than the one whose claim is altered."""

    objects: tuple[Noun, ...] = ()
    places: tuple[Place, ...] = ()


def objects_in(parse: Parse) -> list[ParsedToken]:
    """Return the nouns of a text that name things: no people in general, nothing that any picture shows."""
    return [
        token
        for token in parse
        if is_noun(token)
        and token.is_alpha
        and len(token) > 2
        and token.dep_ not in ("compound", "nmod", "npadvmod", "amod")
        and token.lemma_.lower() not in GENERAL
    ]


def noun_of(token: ParsedToken) -> Noun:
    """Return a noun of a parse with what it is compounded with."""
    return Noun(span_text(token.doc, *noun_span(token)), token.lemma_.lower(), token.tag_ in ("NNS", "NNPS"))


def places_in(parse: Parse) -> list[tuple[int, int, Place]]:
    """Return the places of a text: first token (the preposition), end token (exclusive), and the place."""
    found = []
    for token in parse:
        nouns = [child for child in token.rights if child.dep_ == "pobj" and child.pos_ in ("NOUN", "PROPN")]
        if token.lower_ not in PLACE_WORDS or token.dep_ != "prep" or not nouns:
            continue
        noun = nouns[0]
        _, end = phrase_span(noun)
        if token.i + _LONGEST_PLACE < end or noun.lemma_.lower() in _NO_PLACES:
            continue
        found.append((token.i, end, Place(span_text(parse, token.i, end), noun.lemma_.lower())))
    return found


def words_in(parses: Iterable[Parse]) -> Donors:
    """Return the objects and places of some texts, each as often as it occurs."""
    texts = list(parses)
    objects = tuple(noun_of(token) for parse in texts for token in objects_in(parse))
    return Donors(objects, tuple(place for parse in texts for _, _, place in places_in(parse)))


def donors_of(words: Mapping[str, Donors], video: str) -> Donors:
    """Return the words of all videos but `video`, each once, in order of appearance.

    Args:
        words: of the claims of each video, by its id.
        video: whose claims are altered.
    """
    objects: dict[tuple[str, bool], Noun] = {}
    places: dict[str, Place] = {}
    for other, own in words.items():
        if other != video:
            for noun in own.objects:
                objects.setdefault((noun.lemma, noun.is_plural), noun)
            for place in own.places:
                places.setdefault(place.lemma, place)
    return Donors(tuple(objects.values()), tuple(places.values()))
