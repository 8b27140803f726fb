"""The logger of the program: standard error, one line a message, level from ``CLIPGROVE_LOG``.

Values that may hold a secret (cookies, tokens, whole settings) are never passed to a logger; callers log URLs without
their user part and query.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from runtime.terminal import visible

LEVEL_VARIABLE: Final = "CLIPGROVE_LOG"
"""Environment variable with the level: ``debug``, ``info``, ``warning`` (default) or ``error``."""

_ROOT: Final = "clipgrove"
_FORMAT: Final = "%(asctime)s %(levelname).1s %(name)s: %(message)s"


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module (pass ``__name__``), below one root that writes to standard error."""
    root = logging.getLogger(_ROOT)
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_VisibleFormatter(_FORMAT, datefmt="%H:%M:%S"))
        root.addHandler(handler)
        root.setLevel(_level())
        root.propagate = False
    return root.getChild(name)


@contextmanager
def logged_to(stream: TextIO) -> Iterator[None]:
    """Write messages to a stream instead of standard error while the block runs."""
    get_logger(__name__)
    handlers = [each for each in logging.getLogger(_ROOT).handlers if isinstance(each, logging.StreamHandler)]
    before = [handler.setStream(stream) for handler in handlers]
    try:
        yield
    finally:
        for handler, old in zip(handlers, before, strict=True):
            handler.setStream(old or sys.stderr)


class _VisibleFormatter(logging.Formatter):
    """Formats a message so that text from outside can't steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _level() -> int:
    asked = os.environ.get(LEVEL_VARIABLE, "warning").upper()
    known = logging.getLevelNamesMapping()
    return known.get(asked, logging.WARNING)
