"""What a text says, as terms that can be compared: content words, numbers, names, each with its polarity.

The word matcher (`curation.grounding.word_matcher`) compares terms only. The rules are few and lean to one side: a term
that is read wrongly makes a true claim unsupported, never a false one supported. They are written by hand because
what a verifier accepts must be short enough to be read; stemmers that fold more (Porter's) accept more.

English is folded; in other languages words must match as written (scripts without spaces: character by character).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, takewhile
from typing import Literal

Polarity = Literal["", "not:", "?:"]
"""Said, denied, or unclear (the far end of a denial: in ``no cats and dogs`` the dogs)."""

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


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


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
"""Function words: they carry no claim of their own. Words of place (under, behind, left) do and are not here."""

FRAMING_WORDS = _words(
    """
    image images picture pictures photo photos photograph photographs video videos footage clip clips frame frames
    scene scenes shot shots show shows showing shown showed see sees seen seeing appear appears appearing appeared
    visible depict depicts depicting depicted feature features featuring featured view viewed
    """
)
"""Words by which a caption speaks of itself; they say nothing of what is seen."""

_NEGATORS = _words("not no never without nothing none nobody nowhere neither nor cannot cant")
_SCOPE_ENDS = frozenset(".,;:!?()\n")
_WITHIN_SENTENCE = frozenset(",;:()")
_UNCLEAR_AFTER = _words("and or but while then instead however")

_PHRASE_ENDS = _words("and or but with in on at by for from to into while then who which that is are was were")
_MARKS = {"a": _ONE, "an": _ONE} | dict.fromkeys(_PHRASE_ENDS, _BREAK)

_UNITS = {
    word: int(value)
    for word, value in _pairs(
        """
    zero:0 one:1 two:2 three:3 four:4 five:5 six:6 seven:7 eight:8 nine:9 ten:10 eleven:11 twelve:12 dozen:12
    thirteen:13 fourteen:14 fifteen:15 sixteen:16 seventeen:17 eighteen:18 nineteen:19
    """
    ).items()
}
_TENS = {
    word: int(value)
    for word, value in _pairs("twenty:20 thirty:30 forty:40 fifty:50 sixty:60 seventy:70 eighty:80 ninety:90").items()
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}

_NUMBER_WORDS = frozenset((*_UNITS, *_TENS, *_SCALES))

_IRREGULAR = _pairs(
    """
    men:man women:woman children:child people:person feet:foot teeth:tooth mice:mouse geese:goose oxen:ox
    knives:knife leaves:leaf shelves:shelf loaves:loaf wolves:wolf calves:calf wives:wife lives:life halves:half
    sat:sit stood:stand held:hold ran:run wore:wear worn:wear made:make took:take taken:take gave:give given:give
    ate:eat eaten:eat drank:drink drove:drive driven:drive rode:ride ridden:ride wrote:write written:write
    flew:fly flown:fly threw:throw thrown:throw caught:catch brought:bring bought:buy built:build broke:break
    broken:break fell:fall fallen:fall grew:grow grown:grow kept:keep lying:lie
    met:meet said:say sang:sing swam:swim spoke:speak spoken:speak swung:swing told:tell thought:think
    woke:wake slept:sleep shone:shine hung:hang dug:dig drew:draw drawn:draw blew:blow blown:blow
    """
)


@dataclass(frozen=True)
class Term:
    """One unit of meaning of a text."""

    form: str
    """Folded form; ``#`` and digits for a number; starts with its polarity."""
    exact: bool = False
    """A number or a named thing: no share of a claim makes up for it."""
    followers: tuple[str, ...] = ()
    """Of a number: the forms of the next content words, nearest first (what is counted)."""

    @property
    def opposites(self) -> tuple[str, ...]:
        """The same thing with every other polarity."""
        bare = self.form.removeprefix("not:").removeprefix("?:")
        return tuple(form for form in (bare, f"not:{bare}", f"?:{bare}") if form != self.form)


def terms(text: str) -> tuple[Term, ...]:
    """The terms of a text in order; function words and framing words (``a photo of``) are none."""
    return tuple(term for term in _reading(text) if term.form not in (_BREAK, _ONE))


def counted_ones(text: str) -> frozenset[str]:
    """What a text speaks of in the singular (``a brown dog``): forms of the words that an article stands before."""
    return frozenset(form for term in _reading(text) if term.form == _ONE for form in term.followers)


@lru_cache(maxsize=8192)  # a frame caption is read for every claim that cites it, in every clip that holds the frame
def _reading(text: str) -> tuple[Term, ...]:
    return tuple(_counting(text))


def _counting(text: str) -> Iterator[Term]:
    """Terms, article marks and phrase breaks; what counts (numbers, articles) with the terms of its phrase."""
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
    """Terms without followers, with a mark for each article and each end of a phrase."""
    tokens = list(_numbers_joined(_tokens(text)))
    shouting = not any(character.islower() for character in text)
    denied = -1  # terms since the negation that is in force; -1: none is
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
    """Whether a token is a named thing: capitals inside a sentence, digits among letters, a symbol."""
    token = tokens[index]
    if not token[0].isalpha() or any(character.isdigit() for character in token):
        return True
    if shouting or token.split("'")[0] in ("I", "A") or not any(character.isupper() for character in token):
        return False
    if any(character.isupper() for character in token[1:]):
        return True
    following = tokens[index + 1] if index + 1 < len(tokens) else ""
    return not starts_sentence or (following[:1].isupper() and token.casefold() not in STOP_WORDS)


@lru_cache(maxsize=65536)
def fold(token: str) -> str:
    """One word folded: case, possessive, plural, ``-ing`` and ``-ed`` of English; a number keeps its ``#``."""
    word = token.casefold().split("'")[0]
    if not word.isascii() or not word.isalpha():
        return word
    word = _IRREGULAR.get(word, word)
    return _without_e(_IRREGULAR.get(_unsuffixed(word), _unsuffixed(word)))


def _unsuffixed(word: str) -> str:
    if len(word) > 4 and word.endswith(("ies", "ied")):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes", "oes")) and len(word) > 4:
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    for suffix in ("ing", "ed"):
        stem = word.removesuffix(suffix)
        if stem != word and len(stem) >= 3 and re.search("[aeiouy]", stem) and not word.endswith("eed"):
            return stem[:-1] if stem[-1] == stem[-2] and stem[-1] not in "lsz" else stem
    return word


def _without_e(word: str) -> str:
    if len(word) > 3 and word.endswith("ie"):
        return word[:-2] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def _numbers_joined(tokens: list[str]) -> Iterator[str]:
    """Tokens with each run of number words, and each number in digits, as ``#`` and digits."""
    index = 0
    while index < len(tokens):
        value, used = _number_at(tokens, index)
        yield tokens[index] if value is None else f"#{value}"
        index += max(used, 1)


def _number_at(tokens: list[str], index: int) -> tuple[str | None, int]:
    """The number that starts at `index`, in canonical digits, and how many tokens it takes."""
    token = tokens[index].casefold()
    if re.fullmatch(r"[0-9]+(?:[.,][0-9]+)*", token):
        return _canonical(token), 1
    if token not in _NUMBER_WORDS:
        return None, 1
    total = current = 0
    used, last = 0, ""
    for word in (token.casefold() for token in tokens[index : index + 12]):
        kind = next((k for k, table in (("u", _UNITS), ("t", _TENS), ("s", _SCALES)) if word in table), "")
        if not kind or (kind == "u" and last == "u") or (kind == "t" and last in ("u", "t")) or (kind + last == "s"):
            break
        if kind == "s":
            current = max(current, 1) * _SCALES[word]
            total, current = (total + current, 0) if _SCALES[word] >= 1000 else (total, current)
        else:
            current += _UNITS.get(word, 0) + _TENS.get(word, 0)
        used, last = used + 1, kind
    return (str(total + current), used) if used else (None, 1)


def _canonical(digits: str) -> str:
    """``1,000`` and ``1000``, ``3.50`` and ``3.5``, ``007`` and ``7`` are the same."""
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", digits):
        digits = digits.replace(",", "")
    whole, point, rest = digits.partition(".")
    if not point or "," in digits or "." in rest:
        return digits.lstrip("0") or "0" if digits.isdecimal() else digits
    rest = rest.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{rest}" if rest else "")
