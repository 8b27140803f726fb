"""Another number: *two dogs* becomes *four dogs*."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from curation.grounding.injections.donors import Donors
from curation.grounding.injections.injection import AlteredText, InjectionKind
from curation.grounding.injections.text_edits import replaced
from curation.grounding.parsing.claim_parser import Parse, ParsedToken
from curation.grounding.parsing.word_values import NUMBER_WORDS

_PAIRS: Final = {"both": "all three", "single": "double"}
_STEPS: Final = (1, 2, 3)
_LONGEST: Final = 9  # digits of a number that is counted with


def _alter(parse: Parse, donors: Donors, chance: random.Random) -> Iterator[AlteredText]:
    for token in parse:
        for number in _others(token, chance):
            yield AlteredText(replaced(parse, (token.i, token.i + 1, number)), _names(number))
        if token.lower_ in _PAIRS and _counts_things(token):
            new = _PAIRS[token.lower_]
            yield AlteredText(replaced(parse, (token.i, token.i + 1, new)), (new.split()[-1],))


def _counts_things(token: ParsedToken) -> bool:
    """Return True for *both dogs*; False for *both a dog and a cat*."""
    is_before_noun = token.dep_ in ("det", "amod", "predet", "nummod") and token.head.i > token.i
    return is_before_noun and not any(child.dep_ == "cc" for child in token.head.rights)


def _others(token: ParsedToken, chance: random.Random) -> list[str]:
    """Return other numbers that fit in the place of a token: no singular for a plural; none if it is no number."""
    word = token.lower_
    if word in NUMBER_WORDS and token.pos_ == "NUM":
        value = NUMBER_WORDS.index(word)
        if value < 2:
            return []
        others = [NUMBER_WORDS[new] for new in _near(value) if new < len(NUMBER_WORDS)]
    elif word.isdecimal() and word.isascii() and len(word) <= _LONGEST and int(word) >= 2:
        others = [str(new) for new in _near(int(word))]
    else:
        return []
    return chance.sample(others, len(others))


def _near(value: int) -> list[int]:
    return [new for step in _STEPS for new in (value + step, value - step) if new >= 2]


def _names(number: str) -> tuple[str, ...]:
    """Return a number as it may be written: in digits and in words."""
    if number in NUMBER_WORDS:
        return number, str(NUMBER_WORDS.index(number))
    return (number, NUMBER_WORDS[int(number)]) if int(number) < len(NUMBER_WORDS) else (number,)


NUMBER: Final = InjectionKind("number", _alter)
"""Another number."""
