"""Tokens of a text as CLIP's text tower counts them. The vocabulary comes with open_clip, not from a network."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

_MARKS: Final = 2
"""Tokens that mark the beginning and the end of a text."""


def count_tokens(text: str) -> int:
    """Return the number of tokens, with those that mark its beginning and end."""
    return len(_tokenizer().encode(text)) + _MARKS


@cache
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()
