"""Events in the wrong order: *he opens the door, then sits down* becomes *he sits down, then opens the door*."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from curation.grounding.injections.donors import Donors
from curation.grounding.injections.injection import AlteredText, InjectionKind
from curation.grounding.injections.text_edits import replaced, span_text
from curation.grounding.parsing.claim_parser import Parse, ParsedToken

_OPPOSITE: Final = {"before": "after", "after": "before"}
_SUBJECTS: Final = ("nsubj", "nsubjpass")
_LATER: Final = frozenset({"then", "afterwards", "afterward", "later", "subsequently"})
_LAST: Final = {"finally": "at first", "initially": "finally", "lastly": "at first"}


def _alter(parse: Parse, donors: Donors, chance: random.Random) -> Iterator[AlteredText]:
    for token in parse:
        opposite = _OPPOSITE.get(token.lower_)
        if opposite is not None and _joins_events(token):
            yield AlteredText(replaced(parse, (token.i, token.i + 1, opposite)))
        elif token.lower_ in _LATER:
            yield from _swapped(parse, token)
        elif token.lower_ in _LAST and token.dep_ == "advmod":
            yield AlteredText(replaced(parse, (token.i, token.i + 1, _LAST[token.lower_])))


def _joins_events(token: ParsedToken) -> bool:
    """Return True if what follows *before* or *after* happens: a clause, or the *-ing* form of a verb."""
    clause = token.dep_ == "mark" and token.head.pos_ in ("VERB", "AUX")
    return clause or any(child.dep_ == "pcomp" and child.tag_ == "VBG" for child in token.rights)


def _swapped(parse: Parse, then: ParsedToken) -> Iterator[AlteredText]:
    """Swap what is told before and after *then*: two predicates of one subject, or two clauses."""
    later = then.head
    earlier = later.head if later.dep_ == "conj" else next((t for t in later.lefts if t.dep_ == "ccomp"), None)
    if earlier is None or earlier.pos_ not in ("VERB", "AUX") or earlier.i > then.i or later.i < then.i:
        return
    subjects = [token.i for token in later.lefts if token.dep_ in _SUBJECTS]
    first = _start_of(earlier, bool(subjects))
    end = then.i
    while end > earlier.i + 1 and (parse[end - 1].dep_ in ("punct", "cc")):
        end -= 1
    start_2, end_2 = then.i + 1, _end_of(parse)
    is_shared = not subjects and any(token.dep_ in _SUBJECTS and token.i < earlier.i for token in parse[first:end])
    if first < end <= start_2 < end_2 and not is_shared and min(subjects, default=start_2) >= start_2:
        one, other = span_text(parse, first, end), span_text(parse, start_2, end_2)
        yield AlteredText(replaced(parse, (first, end, other), (start_2, end_2, one)))


def _start_of(verb: ParsedToken, is_clause: bool) -> int:
    """Return the first token of a clause, or of a predicate without its subject."""
    kept = ("nsubj", "nsubjpass", "advmod", "punct", "mark", "cc", "npadvmod", "prep")
    own = [token for token in verb.lefts if is_clause or token.dep_ not in kept]
    openings = ("advmod", "punct", "cc", "mark")
    return min([verb.i, *(token.left_edge.i for token in own if not (is_clause and token.dep_ in openings))])


def _end_of(parse: Parse) -> int:
    end = len(parse)
    while end > 0 and parse[end - 1].is_punct:
        end -= 1
    return end


EVENT_ORDER: Final = InjectionKind("order of events", _alter)
"""Events in the wrong order."""
