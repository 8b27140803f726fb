"""Contradictions between a claim and its evidence that a parse shows: the same words with another value. Pure.

Each check looks for one kind of error and is silent unless the evidence speaks of the same thing: roles exchanged, an
attribute that the evidence gives to another thing, another number, another colour, another place, another object of
the same doer, a negation. What the evidence merely does not say is left to the judges of meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from curation.grounding.parsing.statements import Relation, Statements, Thing
from curation.grounding.parsing.word_values import (
    COLOUR_OF,
    OPPOSITE_POSITIONS,
    OPPOSITE_SIDES,
    may_be_taken_for,
    number_of,
    word_set,
)

_EITHER_WAY: Final = word_set(
    "meet marry face resemble equal touch join fight hug kiss match accompany greet embrace combine divorce play talk "
    "and with near by beside between among around alongside against next of from for like along of"
)
"""Labels that say the same, or nothing, with both sides exchanged."""
_UNDER: Final = {
    "on": ("under", "underneath", "beneath", "below"),
    "above": ("below", "under"),
    **dict.fromkeys(("under", "underneath", "beneath"), ("on", "above")),
}
"""Prepositions that contradict one another."""
_LOCATING: Final = word_set("in at on inside near by under behind")
_NO_THING: Final = word_set(
    "middle center centre mid front back side top bottom corner edge end part background foreground area air photo "
    "view scene distance line row way left right sprig piece it"
)
"""Nouns that say where in a thing, or how much of it."""


def contradiction(claim: Statements, evidence: Sequence[Statements]) -> str | None:
    """Return the kind of the first contradiction between a claim and its evidence; None if there is none."""
    return next((kind for kind, check in CHECKS.items() if check(claim, evidence)), None)


def _exchanges_roles(claim: Statements, evidence: Sequence[Statements]) -> bool:
    """Return True if the claim has doer and done in each other's place."""
    known = {relation for each in evidence for relation in each.relations}
    pairs = {(relation.doer, relation.done) for relation in known}
    for relation in claim.relations:
        turned = Relation(relation.label, relation.done, relation.doer)
        is_said = (relation.doer, relation.done) in pairs
        if relation.label.split()[-1] not in _EITHER_WAY and turned in known and not is_said:
            return True
    return False


def _moves_attribute(claim: Statements, evidence: Sequence[Statements]) -> bool:
    """Return True if the claim gives a thing what the evidence says of another thing only."""
    known = [thing for each in evidence for thing in each.things]
    for thing in claim.things:
        same = [other for other in known if other.noun == thing.noun]
        own = {attribute for other in same for attribute in other.attributes}
        if not own:
            continue
        others = {attribute for other in known if other.noun != thing.noun for attribute in other.attributes}
        moved = (attribute for attribute in thing.attributes if attribute in others and attribute not in own)
        if any(not _stand_together(attribute, thing.noun, evidence) for attribute in moved):
            return True
    return False


def _stand_together(attribute: str, noun: str, evidence: Sequence[Statements]) -> bool:
    """Return True if an attribute is close before a noun, whatever the parser makes of it."""
    close = rf" {re.escape(attribute)} (\S+ ){{0,2}}{re.escape(noun)}"
    return any(re.search(close, each.text) for each in evidence)


def _miscounts(claim: Statements, evidence: Sequence[Statements]) -> bool:
    """Return True if the evidence has other numbers, or the claim's number of another thing only."""
    known = [thing for each in evidence for thing in each.things]
    counted = {thing.number for thing in known if thing.is_counted and thing.number != 1}
    for thing in claim.things:
        if not thing.is_counted or thing.number in (None, 1):
            continue
        same = [other for other in known if other.noun == thing.noun]
        numbers = [other.number for other in same if other.number is not None]
        if numbers and len(numbers) == len(same):
            is_wrong = thing.number not in (*numbers, sum(numbers))
        elif same and not numbers and _is_number_of_others(thing, claim, known):
            is_wrong = True
        else:
            is_wrong = bool(counted) and thing.number not in counted and str(thing.number) not in _words(evidence)
        if is_wrong:
            return True
    return _has_other_digits(claim, evidence)


def _has_other_digits(claim: Statements, evidence: Sequence[Statements]) -> bool:
    """Return True if the claim has a number in digits, such as a year, that is none of the evidence's numbers."""
    words = _words(evidence)
    values = {number_of(word) for word in words} - {None}
    digits = {word for word in claim.words if word.isdecimal()} - words
    return bool(values) and any(number_of(word) not in values for word in digits)


def _is_number_of_others(thing: Thing, claim: Statements, known: Sequence[Thing]) -> bool:
    """Return True if the evidence counts so many of another thing, and the claim does not."""
    others = {other.noun for other in known if other.is_counted and other.number == thing.number}
    counted = {other.noun for other in claim.things if other.is_counted and other.number == thing.number}
    return bool(others) and not others & counted


def _recolours(claim: Statements, evidence: Sequence[Statements]) -> bool:
    """Return True if the claim has a colour that the evidence does not name, and the evidence has another one."""
    known = [thing for each in evidence for thing in each.things]
    named = {group for word, group in COLOUR_OF.items() if any(word in each.text for each in evidence)}
    if named and any(not any(may_be_taken_for(colour, other) for other in named) for colour in claim.colours):
        return True
    for thing in claim.things:
        own = {colour for other in known if other.noun == thing.noun for colour in other.colours}
        for colour in thing.colours:
            if own and not any(may_be_taken_for(colour, other) for other in own):
                return True
    return False


def _is_elsewhere(claim: Statements, evidence: Sequence[Statements]) -> bool:
    """Return True if the claim names the opposite of a place that the evidence names, or another place."""
    texts = [each.text for each in evidence]
    for word, opposite in OPPOSITE_SIDES.items():
        if f" {word} " in claim.text and f" {opposite} " not in claim.text:
            is_said = any(f" {word} " in text for text in texts)
            if not is_said and any(f" {opposite} " in text for text in texts):
                return True
    known = {relation for each in evidence for relation in each.relations}
    for relation in claim.relations:
        opposites = (*_UNDER.get(relation.label, ()), OPPOSITE_POSITIONS.get(relation.label))
        by_same = [other for other in known if other.done == relation.done or other.doer == relation.doer]
        if any(other.label in opposites for other in by_same) and relation.label not in {r.label for r in by_same}:
            return True
    located = [relation for relation in known if relation.label in _LOCATING]
    return any(
        relation.label in _LOCATING
        and any(
            (other.label == relation.label or other.doer == relation.doer)
            and _is_replaced(relation.done, other.done, claim, evidence)
            for other in located
        )
        for relation in claim.relations
    )


def _has_another_object(claim: Statements, evidence: Sequence[Statements]) -> bool:
    """Return True if somebody does to a thing that the evidence does not name what it has them do to another one."""
    known = {relation for each in evidence for relation in each.relations if relation.label not in _LOCATING}
    return any(
        relation.label.split()[-1] not in _EITHER_WAY
        and (other.label, other.doer) == (relation.label, relation.doer)
        and _is_replaced(relation.done, other.done, claim, evidence)
        for relation in claim.relations
        for other in known
    )


def _is_replaced(new: str, old: str, claim: Statements, evidence: Sequence[Statements]) -> bool:
    """Return True if only the claim names the new thing, and only the evidence the old one."""
    is_thing = new not in _NO_THING and old not in _NO_THING
    return is_thing and not any(_names(each, new) for each in evidence) and not _names(claim, old)


def _names(said: Statements, noun: str) -> bool:
    """Return True if a text names a thing; *hot dog* names a *hotdog*."""
    return noun in said.words or any(thing.noun == noun for thing in said.things) or noun in said.text.replace(" ", "")


def _negates(claim: Statements, evidence: Sequence[Statements]) -> bool:
    """Return True if the claim denies something and the evidence denies nothing."""
    return claim.is_negated and not any(each.is_negated for each in evidence)


def _words(evidence: Sequence[Statements]) -> set[str]:
    return {word for each in evidence for word in each.words}


CHECKS: Final[dict[str, Callable[[Statements, Sequence[Statements]], bool]]] = {
    "roles": _exchanges_roles,
    "attribute": _moves_attribute,
    "number": _miscounts,
    "colour": _recolours,
    "place": _is_elsewhere,
    "object": _has_another_object,
    "negation": _negates,
}
"""The checks, by the word that is stored as the reason of a rejected claim."""
