"""The error of everything that reads or writes a DIR, an exception's message as one line, hints for wrong names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final, Literal

_LONGEST: Final = 1200
"""Most characters of a message: it may quote names and values from outside, of any length."""
_END: Final = 300


class ShardError(ValueError):
    """A DIR, or a file in it, breaks the contract; the message is one line that names the file and the remedy.

    Commands print the message and exit with status 2.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(bounded_line(str(message)))


def bounded_line(text: str) -> str:
    """Return `text` on one line, and without its middle if it is very long."""
    line = " ".join(text.splitlines())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - _END]} … {line[-_END:]}"


def one_line(
    error: BaseException,
    *,
    keep: Literal["all", "first", "last"] = "all",
    named: bool = False,
    limit: int = 500,
) -> str:
    """Return the message of an exception as one line; the class name if the message is empty.

    Args:
        error: the exception.
        keep: join all lines of the message, or keep only its first or last line that is not blank. The first suits
            libraries that append a stack, the last suits messages that end with the cause.
        named: put the class name and a colon before the message.
        limit: the most characters of the message to keep.
    """
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    message = " ".join(lines if keep == "all" else lines[:1] if keep == "first" else lines[-1:])[:limit]
    kind = type(error).__name__
    if not message:
        return kind
    return f"{kind}: {message}" if named else message


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for a misspelt name, or the list of valid names if none is similar."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f" (valid: {', '.join(names)})"
