"""A negation: *the man holds a cup* becomes *the man does not hold a cup*."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from curation.grounding.injections.donors import Donors
from curation.grounding.injections.injection import AlteredText, InjectionKind
from curation.grounding.injections.text_edits import inserted, is_noun, phrase_span, replaced, span_text
from curation.grounding.parsing.claim_parser import Parse, ParsedToken

NEGATIONS: Final = ("not", "n't", "no", "never", "without", "nobody", "nothing", "none", "neither", "nor", "cannot")
"""Words that negate; evidence with one of them may agree with a negated claim."""
_DO: Final = {"VBZ": "does not", "VBP": "do not", "VBD": "did not"}


def _alter(parse: Parse, donors: Donors, chance: random.Random) -> Iterator[AlteredText]:
    if any(token.lower_ in NEGATIONS or token.dep_ == "neg" for token in parse):
        return
    root = next((token for token in parse if token.dep_ == "ROOT"), None)
    if root is None:
        return
    is_verb = root.pos_ in ("VERB", "AUX") and not is_noun(root)
    text = _negated_verb(parse, root) if is_verb else _negated_noun(parse, root)
    if text is not None:
        yield AlteredText(text, NEGATIONS)


def _negated_verb(parse: Parse, verb: ParsedToken) -> str | None:
    auxiliaries = [token for token in verb.lefts if token.dep_ in ("aux", "auxpass")]
    if auxiliaries or verb.lemma_ == "be":
        return inserted(parse, (auxiliaries or [verb])[0].i + 1, "not")
    if verb.tag_ == "VBG":
        return inserted(parse, verb.i, "not")
    if verb.tag_ in _DO:
        return replaced(parse, (verb.i, verb.i + 1, f"{_DO[verb.tag_]} {verb.lemma_.lower()}"))
    return None


def _negated_noun(parse: Parse, noun: ParsedToken) -> str | None:
    """Return a text without a predicate, negated: its participle (*a man not riding a horse*), or the thing itself."""
    participle = next((t for t in noun.rights if t.dep_ == "acl" and t.tag_ in ("VBG", "VBN")), None)
    if participle is not None:
        return inserted(parse, participle.i, "not")
    if not is_noun(noun):
        return None
    first, _ = phrase_span(noun)
    if parse[first].dep_ in ("det", "nummod"):
        return replaced(parse, (first, first + 1, "no"))
    return replaced(parse, (first, noun.i + 1, f"no {span_text(parse, first, noun.i + 1)}"))


NEGATION: Final = InjectionKind("negation", _alter)
"""A negation."""
