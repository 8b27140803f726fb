"""Text from outside on its way to a terminal: titles, captions, file names and messages must not steer it.

A terminal obeys escape sequences (it may hide, overwrite or paste text), and shows text in the order that bidirectional
controls ask for. Both are shown as replacement characters. Stored texts are never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, ConsoleOptions
from rich.segment import Segment

_STEERING: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls, except tab and line feed
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    r"\u2028\u2029"  # separators of lines and paragraphs
    r"\ufff9-\ufffb\U000e0000-\U000e007f"  # annotations and tags, which are not drawn
    r"\ud800-\udfff]"  # halves of characters, which no encoding can write
)
_BREAK: Final = re.compile(r"\s*[\r\n\t]\s*")
_SHOWN: Final = "\ufffd"


def visible(text: str) -> str:
    """Return `text` with a replacement character for each character that steers a terminal or can't be printed.

    Tabs and line feeds stay.
    """
    return _STEERING.sub(_SHOWN, text)


def on_one_line(text: str) -> str:
    """Return `text` as `visible` does, and with spaces for line ends and tabs: it can't imitate other lines."""
    return visible(_BREAK.sub(" ", text))


class SafeConsole(Console):
    """A console whose text can't steer the terminal, whatever is printed."""

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of `renderable`, with their text made visible; the console's own codes are kept."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))
