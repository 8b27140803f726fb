"""Swapped roles: *a dog chases a man* becomes *a man chases a dog*."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from curation.grounding.injections.donors import GENERAL, Donors
from curation.grounding.injections.injection import AlteredText, InjectionKind
from curation.grounding.injections.text_edits import phrase_span, replaced, span_text
from curation.grounding.parsing.claim_parser import Parse, ParsedToken
from curation.grounding.parsing.word_values import word_set

_EITHER_WAY: Final = word_set(
    "meet marry face resemble equal touch join fight hug kiss match accompany greet embrace combine divorce"
)
"""Verbs that say the same with subject and object swapped."""
_DIRECTED: Final = word_set(
    "behind after toward towards at over above under below beneath on onto upon into inside in past atop off "
    "underneath before through"
)
"""Prepositions that say something else with both sides swapped."""
_SUBJECTS: Final = ("nsubj",)


def _alter(parse: Parse, donors: Donors, chance: random.Random) -> Iterator[AlteredText]:
    for doer, done in _pairs(parse):
        (first, end), (first_2, end_2) = _span(doer, done), phrase_span(done)
        if doer.lemma_.lower() == done.lemma_.lower() or end > first_2:
            continue
        one, other = span_text(parse, first, end), span_text(parse, first_2, end_2)
        yield AlteredText(replaced(parse, (first, end, other), (first_2, end_2, one)))


def _pairs(parse: Parse) -> Iterator[tuple[ParsedToken, ParsedToken]]:
    """Yield the nouns of a text that do something, each with the noun that it is done to, or that it is placed by."""
    for verb in parse:
        if verb.pos_ not in ("VERB", "AUX") or verb.lemma_.lower() in _EITHER_WAY:
            continue
        doers = [token for token in verb.lefts if token.dep_ in _SUBJECTS]
        if verb.dep_ in ("acl", "relcl") and verb.tag_ == "VBG":
            doers.append(verb.head)
        done = [token for token in verb.rights if token.dep_ == "dobj"]
        done += [
            noun
            for preposition in verb.rights
            if preposition.dep_ == "prep" and preposition.lower_ in _DIRECTED
            for noun in preposition.rights
            if noun.dep_ == "pobj"
        ]
        for doer in doers:
            yield from ((doer, noun) for noun in done if _is_thing(doer) and _is_thing(noun))


def _span(doer: ParsedToken, done: ParsedToken) -> tuple[int, int]:
    """Return the tokens of a subject with all that describes it; of a noun that a participle follows, its phrase."""
    if doer.is_ancestor(done):
        return phrase_span(doer)
    return int(doer.left_edge.i), int(doer.right_edge.i) + 1


def _is_thing(token: ParsedToken) -> bool:
    """Return True for a noun that means a thing: no list, no part of something else, no *picture* or *text*."""
    is_part = any(child.lower_ == "of" for child in token.rights)
    is_single = len(list(token.conjuncts)) == 0 and not is_part
    return token.pos_ in ("NOUN", "PROPN") and is_single and token.lemma_.lower() not in GENERAL


ROLE_SWAP: Final = InjectionKind("role swap", _alter)
"""Swapped roles."""
