"""Numbers in words and digits as one form: ``twenty-five``, ``25`` and ``025`` become ``#25``."""

from __future__ import annotations

import re
from collections.abc import Iterator


def _table(text: str) -> dict[str, int]:
    return {word: int(value) for word, value in (pair.split(":") for pair in text.split())}


_UNITS = _table(
    """
    zero:0 one:1 two:2 three:3 four:4 five:5 six:6 seven:7 eight:8 nine:9 ten:10 eleven:11 twelve:12 dozen:12
    thirteen:13 fourteen:14 fifteen:15 sixteen:16 seventeen:17 eighteen:18 nineteen:19
    """
)
_TENS = _table("twenty:20 thirty:30 forty:40 fifty:50 sixty:60 seventy:70 eighty:80 ninety:90")
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}

_NUMBER_WORDS = frozenset((*_UNITS, *_TENS, *_SCALES))
_LONGEST_NUMBER = 12  # tokens


def join_numbers(tokens: list[str]) -> Iterator[str]:
    """Yield the tokens, with each run of number words and each number in digits as one token, ``#`` and digits."""
    index = 0
    while index < len(tokens):
        value, used = _number_at(tokens, index)
        yield tokens[index] if value is None else f"#{value}"
        index += max(used, 1)


def _number_at(tokens: list[str], index: int) -> tuple[str | None, int]:
    """Return the number that starts at `index` in canonical digits, or None, and its length in tokens."""
    token = tokens[index].casefold()
    if re.fullmatch(r"[0-9]+(?:[.,][0-9]+)*", token):
        return _canonical(token), 1
    if token not in _NUMBER_WORDS:
        return None, 1
    total = current = 0
    used, last = 0, ""
    for word in (token.casefold() for token in tokens[index : index + _LONGEST_NUMBER]):
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
    """Return equal numbers in one form: ``1,000`` as ``1000``, ``3.50`` as ``3.5``, ``007`` as ``7``."""
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", digits):
        digits = digits.replace(",", "")
    whole, point, rest = digits.partition(".")
    if not point or "," in digits or "." in rest:
        return digits.lstrip("0") or "0" if digits.isdecimal() else digits
    rest = rest.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{rest}" if rest else "")
