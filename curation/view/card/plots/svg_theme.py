"""Draws figures of Matplotlib as SVG for use inside a page: with its colours, its font, and ids of their own.

Text stays text, and is never read as markup of Matplotlib. The same figure gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE, MARK = "#010101", "#020202", "#030303", "#040404"
LEVEL_COLOURS: Final[Mapping[str, str]] = {"short": "#050505", "medium": "#060606", "long": "#070707"}
_VARIABLES: Final[Mapping[str, str]] = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    MARK: "var(--mark)",
    **{colour: f"var(--{level})" for level, colour in LEVEL_COLOURS.items()},
}
"""Variables of the page's style sheet that take the place of the colours of a figure."""
_WIDTH: Final = 4.7
"""Inches, which are 72 units of the SVG: text is then legible at the width of a phone."""
_SETTINGS: Final[Mapping[str, object]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "card",
    "text.parse_math": False,
    "font.size": 9.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_FONT: Final = re.compile(r"'DejaVu Sans'(, [^;\"]*)?")
_ID: Final = re.compile(r"\bid=\"([^\"]+)\"")
_USE: Final = re.compile(r"(url\(#|xlink:href=\"#)")


@contextmanager
def figure(height: float) -> Iterator[tuple[Figure, Axes]]:
    """Give an empty figure in the style of the report, `height` inches high, and its axes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(dict(_SETTINGS)):  # type: ignore[arg-type]
        made = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield made, made.add_subplot()


def svg(made: Figure, number: int, title: str, description: str) -> Markup:
    """Return a figure as an element of a page.

    Args:
        made: of `figure`, within its block.
        number: of the figure in the page; its ids hold it.
        title: name of the figure for those who can't see it.
        description: what it shows, in words.
    """
    data = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    made.savefig(data, format="svg", transparent=True, metadata=nothing)
    text = data.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = _FONT.sub("system-ui, sans-serif", text)
    text = _USE.sub(rf"\g<1>plot{number}-", _ID.sub(rf'id="plot{number}-\1"', text))
    box = re.search(r'viewBox="[^"]+"', text)
    assert box is not None
    names = f'<title id="plot{number}">{escape(title)}</title><desc id="plot{number}d">{escape(description)}</desc>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box[0]} role="img"'
    inside = text[text.index(">") + 1 :].rstrip()
    return Markup(f'{head} aria-labelledby="plot{number} plot{number}d">{names}{inside}')  # noqa: S704  escaped
