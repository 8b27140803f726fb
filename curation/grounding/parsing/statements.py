"""The content of a parsed text: its things with attributes and numbers, and who does what to whom; pure, but for it.

The parse is reduced to words that can be compared: lemmas of heads, one name for nouns that mean the same thing,
passives turned round (*a man is bitten by a dog*: the dog bites), and relative clauses and participles given their
subjects. `curation.grounding.parsing.contradictions` compares a claim's statements with those of its evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from curation.grounding.parsing.claim_parser import Parse, ParsedToken
from curation.grounding.parsing.word_values import COLOUR_OF, SAME_THING, SET_NUMBERS, number_of, word_set

_NEGATIONS: Final = word_set("not n't no never without nobody nothing none neither nor cannot")
_RELATIVE: Final = word_set("that who which whom")
_PLURALS: Final = ("NNS", "NNPS")
_SUBJECTS: Final = ("nsubj", "nsubjpass")
_ON: Final = word_set("atop upon onto")
_CONTAINS: Final = "contain"


@dataclass(frozen=True)
class Thing:
    """One noun of a text with what is said of it."""

    noun: str
    """Its lemma in lower case, or the name of its group in `SAME_THING`."""
    attributes: frozenset[str] = frozenset()
    """Lemmas of its adjectives and of the nouns it is compounded with."""
    colours: frozenset[str] = frozenset()
    """Names of the groups of its colours (`COLOUR_OF`)."""
    number: int | None = None
    """How many there are: a number, or 1 for a singular with an article; None if the text does not say."""
    is_counted: bool = False
    """True if `number` is a number word of the text."""


@dataclass(frozen=True)
class Relation:
    """Somebody does something to something, or a thing is placed by another."""

    label: str
    """Lemma of the verb, the preposition, or both with a space between them."""
    doer: str
    done: str
    """Nouns as in `Thing`."""


@dataclass(frozen=True)
class Statements:
    """The content of a text."""

    things: tuple[Thing, ...]
    relations: frozenset[Relation]
    words: frozenset[str]
    """All words in lower case, as written and as lemmas."""
    colours: frozenset[str]
    """Names of the groups of all its colours but those that are nouns, such as fruit."""
    text: str
    """In lower case, with single spaces, and one at each end."""
    is_negated: bool


def statements_of(parse: Parse) -> Statements:
    """Return what a parsed text says."""
    words = {word for token in parse for word in (token.lower_, token.lemma_.lower())}
    return Statements(
        tuple(_thing(token) for token in parse if _is_noun(token) and token.lemma_.lower() not in SET_NUMBERS),
        frozenset(_relations(parse)),
        frozenset(words),
        frozenset(COLOUR_OF[token.lower_] for token in parse if token.lower_ in COLOUR_OF and not _is_noun(token)),
        f" {' '.join(token.lower_ for token in parse if not token.is_space)} ",
        any(token.lower_ in _NEGATIONS or token.dep_ == "neg" for token in parse),
    )


def name_of(token: ParsedToken) -> str:
    """Return the word under which a noun is compared with others."""
    lemma = token.lemma_.lower()
    return SAME_THING.get(lemma, SAME_THING.get(token.lower_, lemma))


def _thing(noun: ParsedToken) -> Thing:
    adjectives = [token for token in noun.lefts if token.dep_ in ("amod", "compound", "nmod")]
    adjectives += [token for first in adjectives for token in first.conjuncts]
    if noun.dep_ in _SUBJECTS and noun.head.lemma_ == "be":
        adjectives += [token for token in noun.head.rights if token.dep_ == "acomp"]
    adjectives += [
        token
        for verb in noun.rights
        if verb.dep_ == "relcl" and verb.lemma_ == "be"
        for token in verb.rights
        if token.dep_ == "acomp"
    ]
    inner = [token for adjective in adjectives for token in adjective.lefts if token.dep_ in ("amod", "compound")]
    lemmas = {token.lemma_.lower() for token in (*adjectives, *inner)}
    number, is_counted = _number(noun)
    colours = {COLOUR_OF[lemma] for lemma in lemmas if lemma in COLOUR_OF}
    return Thing(name_of(noun), frozenset(lemmas), frozenset(colours), number, is_counted)


def _number(noun: ParsedToken) -> tuple[int | None, bool]:
    """Return how many of a thing there are, and whether a number says so."""
    for token in noun.lefts:
        value = number_of(token.lower_)
        if value is not None and token.dep_ in ("nummod", "det", "amod", "predet", "compound"):
            return value, True
    of = noun.head
    if noun.dep_ == "pobj" and of.lower_ == "of" and of.head.lemma_.lower() in SET_NUMBERS:
        return SET_NUMBERS[of.head.lemma_.lower()], True
    is_single = noun.tag_ not in _PLURALS and any(token.lower_ in ("a", "an") for token in noun.lefts)
    return (1, False) if is_single else (None, False)


def _relations(parse: Parse) -> Iterator[Relation]:
    for token in parse:
        if token.pos_ in ("VERB", "AUX"):
            yield from _of_verb(token)
        elif token.dep_ == "prep" and _is_noun(token.head):
            name, objects = _placing(token)
            yield from _between(name, [token.head], objects)


def _of_verb(verb: ParsedToken) -> Iterator[Relation]:
    doers, done = _doers(verb), _done(verb)
    label = verb.lemma_.lower()
    yield from _between("in", done, doers) if label == _CONTAINS else _between(label, doers, done)
    for preposition in (token for token in verb.rights if token.dep_ == "prep"):
        name, objects = _placing(preposition)
        yield from _between(name, doers or done, objects)
        if verb.lemma_ != "be":
            yield from _between(f"{label} {name}", doers, objects)


def _doers(verb: ParsedToken) -> list[ParsedToken]:
    """Return the nouns that do what a verb says."""
    own = [token for token in verb.lefts if token.dep_ == "nsubj"]
    agents = [noun for by in verb.rights if by.dep_ == "agent" for noun in _objects(by)]
    if any(token.dep_ == "nsubjpass" for token in verb.lefts):
        return agents
    if own:
        return [noun for token in own for noun in _meant(token, verb)]
    if verb.dep_ in ("acl", "advcl") and _is_noun(verb.head):
        return agents if verb.tag_ == "VBN" else _with_conjuncts(verb.head)
    if verb.dep_ in ("conj", "advcl", "xcomp", "pcomp") and verb.head.pos_ in ("VERB", "AUX"):
        passive = [token for token in verb.head.lefts if token.dep_ == "nsubjpass"]
        return passive or _doers(verb.head)
    return agents


def _done(verb: ParsedToken) -> list[ParsedToken]:
    """Return the nouns to which a verb does something."""
    objects = [noun for token in verb.rights if token.dep_ == "dobj" for noun in _meant(token, verb)]
    passive = [noun for token in verb.lefts if token.dep_ == "nsubjpass" for noun in _meant(token, verb)]
    if verb.dep_ == "acl" and verb.tag_ == "VBN":
        passive += _with_conjuncts(verb.head)
    return objects + passive


def _meant(token: ParsedToken, verb: ParsedToken) -> list[ParsedToken]:
    """Return what a subject or object means: for *who* and *that* in a relative clause, the noun before it."""
    if token.lower_ in _RELATIVE:
        return [verb.head] if verb.dep_ == "relcl" and _is_noun(verb.head) else []
    return _with_conjuncts(token)


def _placing(preposition: ParsedToken) -> tuple[str, list[ParsedToken]]:
    """Return a preposition and its objects; *in front of* is one preposition, and *on top of* is *on*."""
    name = "on" if preposition.lower_ in _ON else preposition.lower_
    for noun in preposition.rights:
        of = next((token for token in noun.rights if token.lower_ == "of"), None)
        if noun.lower_ in ("front", "top") and of is not None:
            return "in front of" if noun.lower_ == "front" else "on", _objects(of)
    return name, _objects(preposition)


def _objects(preposition: ParsedToken) -> list[ParsedToken]:
    return [noun for token in preposition.rights if token.dep_ == "pobj" for noun in _with_conjuncts(token)]


def _with_conjuncts(token: ParsedToken) -> list[ParsedToken]:
    return [noun for noun in (token, *token.conjuncts) if _is_noun(noun)]


def _between(label: str, doers: list[ParsedToken], done: list[ParsedToken]) -> Iterator[Relation]:
    for doer in doers:
        for noun in done:
            if name_of(doer) != name_of(noun):
                yield Relation(label, name_of(doer), name_of(noun))


def _is_noun(token: ParsedToken) -> bool:
    return token.pos_ in ("NOUN", "PROPN")
