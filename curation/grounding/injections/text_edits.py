"""Edits of a parsed text that leave it well formed: capitals at its beginning, and *a* or *an*. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from curation.grounding.parsing.claim_parser import Parse, ParsedToken

_VOWELS: Final = frozenset("aeiou")
_ARTICLES: Final = frozenset({"a", "an"})


def replaced(parse: Parse, *edits: tuple[int, int, str]) -> str:
    """Return the text with spans of tokens replaced.

    Args:
        parse: the text.
        edits: first token, end token (exclusive) and new text of each span; the spans don't overlap.
    """
    text = str(parse.text)
    for first, end, new in sorted(edits, reverse=True):
        start = parse[first].idx
        stop = parse[end - 1].idx + len(parse[end - 1].text) if end > first else start
        before, after = text[:start], text[stop:]
        text = _with_article(before, parse, first, new) + new + (after if new else after.lstrip())
    return _capitalised(text, like=str(parse.text))


def inserted(parse: Parse, before: int, new: str) -> str:
    """Return the text with `new` put in before a token; at its end if `before` is the number of tokens."""
    if before >= len(parse):
        return f"{parse.text} {new}"
    start = parse[before].idx
    return _capitalised(f"{parse.text[:start]}{new} {parse.text[start:]}", like=str(parse.text))


def span_text(parse: Parse, first: int, end: int) -> str:
    """Return the text of a span of tokens; its first letter small, unless it is a name."""
    text = str(parse[first:end].text)
    return text if _is_name(parse[first]) else text[:1].lower() + text[1:]


def noun_span(noun: ParsedToken) -> tuple[int, int]:
    """Return the tokens of a noun with the nouns that it is compounded with: first, and end (exclusive)."""
    first = noun.i
    while first > noun.sent.start and noun.doc[first - 1].dep_ == "compound" and noun.doc[first - 1].head.i <= noun.i:
        first -= 1
    return first, noun.i + 1


def phrase_span(noun: ParsedToken) -> tuple[int, int]:
    """Return the tokens of a noun's phrase up to the noun, with article and adjectives: first, and end (exclusive)."""
    own = [token.i for token in noun.lefts if token.dep_ not in ("cc", "punct", "prep", "advmod", "mark", "aux")]
    return min([noun_span(noun)[0], *(noun.doc[index].left_edge.i for index in own)]), noun.i + 1


def is_noun(token: ParsedToken) -> bool:
    """Return True for a noun; and for the only word of a text, such as a tag, which the parser can't place."""
    is_only_word = sum(not other.is_punct for other in token.doc) == 1 and token.is_alpha
    return token.pos_ in ("NOUN", "PROPN") or is_only_word


def words_of(tokens: Sequence[ParsedToken]) -> frozenset[str]:
    """Return the words of a parse in lower case, as written and as lemmas."""
    return frozenset(word for token in tokens for word in (token.lower_, token.lemma_.lower()) if token.is_alpha)


def _with_article(before: str, parse: Parse, first: int, new: str) -> str:
    """Return the text before a span; an article at its end agrees with the new text."""
    if first == 0 or parse[first - 1].lower_ not in _ARTICLES or not new:
        return before
    article, kept = parse[first - 1].text, before.rstrip()
    chosen = "an" if new[0].lower() in _VOWELS else "a"
    spaces = before[len(kept) :]
    return kept[: len(kept) - len(article)] + (chosen.capitalize() if article[0].isupper() else chosen) + spaces


def _capitalised(text: str, like: str) -> str:
    return text[:1].upper() + text[1:] if like[:1].isupper() else text


def _is_name(token: ParsedToken) -> bool:
    return token.pos_ == "PROPN" or token.text == "I"
