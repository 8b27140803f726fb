"""The terms of a text: content words, numbers and names in a form that can be compared, each with its polarity.

The word matcher (`curation.grounding.word_matcher`) compares terms only. The rules are few, and they err on one side: a
term that is read wrongly makes a true claim unsupported, never a false one supported.

English words are folded (`curation.grounding.word_folding`); words of other languages must match as written, and in
scripts without spaces each character is a term.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, takewhile
from typing import Literal

from curation.grounding.number_words import join_numbers
from curation.grounding.word_folding import fold

Polarity = Literal["", "not:", "?:"]
"""Stated, denied, or unclear (the far end of a denial: the dogs in ``no cats and dogs``)."""

_BREAK = "\n"
_ONE = "#a"
_DENIED_TERMS = 4
_FOLLOWERS = 3

_NO_SPACES = "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(
    rf"""\d+(?:[.,]\d+)*(?![^\W_])               # a number in digits
    | [{_NO_SPACES}]                             # one character of a script without spaces
    | (?:(?![{_NO_SPACES}])[^\W_])+(?:'[^\W_]+)*  # a word, with what follows an apostrophe
    | \n
    | [^\w\s'"“”„«»‹›…/&\[\]{{}}\u2010-\u2015-]   # punctuation that ends a clause, and symbols
    """,
    re.VERBOSE,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP_WORDS = _words(
    """
    a an the this that these those it its itself he him his himself she her hers herself they them their theirs
    themselves we us our ours you your yours i me my mine who whom whose which what there here where when how why
    and or but nor so yet if than then as because while although though also too very just only even still
    again once of in on at to from by for with into onto up down off out about around along across through during
    am is are was were be been being have has had having do does did doing done can could will would shall should may
    might must let get gets got getting go goes going went some any each every all both such same own other another
    much many more most few several lot bit quite rather really actually well okay oh um uh yeah now s t d ll m re ve
    """
)
"""Function words: they claim nothing. Words of place (under, behind, left) do, and are not in this list."""

FRAMING_WORDS = _words(
    """
    image images picture pictures photo photos photograph photographs video videos footage clip clips frame frames
    scene scenes shot shots show shows showing shown showed see sees seen seeing appear appears appearing appeared
    visible depict depicts depicting depicted feature features featuring featured view viewed
    """
)
"""Words that refer to the picture itself; they claim nothing about its content."""

_NEGATORS = _words("not no never without nothing none nobody nowhere neither nor cannot cant")
_SCOPE_ENDS = frozenset(".,;:!?()\n")
_WITHIN_SENTENCE = frozenset(",;:()")
_UNCLEAR_AFTER = _words("and or but while then instead however")

_PHRASE_ENDS = _words("and or but with in on at by for from to into while then who which that is are was were")
_MARKS = {"a": _ONE, "an": _ONE} | dict.fromkeys(_PHRASE_ENDS, _BREAK)


@dataclass(frozen=True)
class Term:
    """One unit of meaning of a text."""

    form: str
    """Polarity, then the folded word, or ``#`` and digits for a number."""
    exact: bool = False
    """True for a number or a name: evidence must hold it, whatever share of the other terms it holds."""
    followers: tuple[str, ...] = ()
    """For a number: the forms of the next content words, nearest first (the things counted)."""

    @property
    def opposites(self) -> tuple[str, ...]:
        """Forms of the same word with every other polarity."""
        bare = self.form.removeprefix("not:").removeprefix("?:")
        return tuple(form for form in (bare, f"not:{bare}", f"?:{bare}") if form != self.form)


def terms(text: str) -> tuple[Term, ...]:
    """Return the terms of a text in order, without function words and framing words (``a photo of``)."""
    return tuple(term for term in _parse(text) if term.form not in (_BREAK, _ONE))


def counted_ones(text: str) -> frozenset[str]:
    """Return the forms of the words after an indefinite article: things in the singular (``a brown dog``)."""
    return frozenset(form for term in _parse(text) if term.form == _ONE for form in term.followers)


@lru_cache(maxsize=8192)  # a frame caption is parsed for every claim that cites it, in every clip with that frame
def _parse(text: str) -> tuple[Term, ...]:
    return tuple(_terms_and_marks(text))


def _terms_and_marks(text: str) -> Iterator[Term]:
    """Yield terms, article marks and phrase breaks; numbers and articles have the next terms of their phrase."""
    raw = list(_raw_terms(text))
    for index, term in enumerate(raw):
        if "#" in term.form:
            phrase = takewhile(lambda later: later.form != _BREAK and "#" not in later.form, raw[index + 1 :])
            yield replace(term, followers=tuple(later.form for later in islice(phrase, _FOLLOWERS)))
        else:
            yield term


def _tokens(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‘", "'")
    return _TOKEN.findall(plain)


def _raw_terms(text: str) -> Iterator[Term]:
    """Yield terms without followers, and a mark for each article and each end of a phrase."""
    tokens = list(join_numbers(_tokens(text)))
    shouting = not any(character.islower() for character in text)
    denied = -1  # terms since the last negation; -1: no negation is in force
    unclear = False
    starts_sentence = True
    for index, token in enumerate(tokens):
        if token in _SCOPE_ENDS:
            denied, unclear = -1, False
            starts_sentence = starts_sentence or token not in _WITHIN_SENTENCE
            yield Term(_BREAK)
            continue
        folded = token.casefold()
        exact = token.startswith("#") or _is_name(tokens, index, starts_sentence, shouting)
        starts_sentence = False
        if folded in _NEGATORS or folded.endswith("n't"):
            denied, unclear = 0, False
            continue
        unclear = unclear or (denied >= 0 and (folded in _UNCLEAR_AFTER or denied >= _DENIED_TERMS))
        if not exact and folded.split("'")[0] in STOP_WORDS | FRAMING_WORDS:
            if folded in _MARKS:
                yield Term(_MARKS[folded])
            continue
        polarity: Polarity = "" if denied < 0 else "?:" if unclear else "not:"
        denied += denied >= 0
        yield Term(polarity + fold(token), exact)


def _is_name(tokens: list[str], index: int, starts_sentence: bool, shouting: bool) -> bool:
    """Return True if a token is a name: a capital inside a sentence, digits among letters, or a symbol."""
    token = tokens[index]
    if not token[0].isalpha() or any(character.isdigit() for character in token):
        return True
    if shouting or token.split("'")[0] in ("I", "A") or not any(character.isupper() for character in token):
        return False
    if any(character.isupper() for character in token[1:]):
        return True
    following = tokens[index + 1] if index + 1 < len(tokens) else ""
    return not starts_sentence or (following[:1].isupper() and token.casefold() not in STOP_WORDS)
