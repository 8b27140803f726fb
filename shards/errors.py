"""The error of everything that reads or writes a DIR, and an exception's message as one line."""

from __future__ import annotations

from typing import Literal


class ShardError(ValueError):
    """A DIR, or a file in it, breaks the contract; the message is one line that names the file and the remedy.

    Commands print the message and exit with status 2.
    """


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
