"""One clip as `curate inspect` prints it: texts, claims with the reasons of their verdicts, and facts.

On a terminal the values have a column of their own, and keys, stills and evidence are links to the viewer. Elsewhere
each fact is one line, for `grep`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from curation.grounding.evidence import span_of
from curation.reporting.spoken_numbers import clock
from curation.view.verdict_reasons import rejections, why
from runtime.terminal import on_one_line
from shards.stored_rows import MarkedText

_LABEL: Final = 15
"""Columns of a label, or more."""
_LEVEL_STYLE: Final = {"short": "cyan", "medium": "green", "long": "magenta"}
_VERDICT_STYLE: Final = {"supported": "green", "unsupported": "red"}
_TOLD: Final = {"events": "events", "on screen": "on_screen_text", "objects": "objects"}
_SUBTITLE_CHARACTERS: Final = 400
_FACTS: Final = (
    "root_key", "parent_key", "offset", "width", "height", "fps", "num_frames", "subtitle_origin", "split",
)  # fmt: skip


@dataclass(frozen=True)
class ViewerLinks:
    """Addresses of clips and stills in a viewer that may be running."""

    address: str
    """The address that `curate view` printed."""

    def clip(self, key: str) -> str:
        """Return the address of a clip's page."""
        return f"{self.address.rstrip('/')}/clip/{quote(key, safe='')}"

    def still(self, row: MarkedText, second: float) -> str:
        """Return the address of the still nearest to a second of the video."""
        root = quote(str(row["root_key"]), safe="")
        return f"{self.address.rstrip('/')}/stills/{row['shard']}/{root}/{round(max(second, 0.0) * 1000)}.jpg"


def print_clip(console: Console, row: MarkedText, links: ViewerLinks) -> None:
    """Print a clip with the first words of its texts."""
    _print_title(console, row, links)
    _print_rows(console, _texts(row, links, full=False))


def print_whole_clip(
    console: Console, row: MarkedText, links: ViewerLinks, evidence: Mapping[str, str], scores: Mapping[str, str]
) -> None:
    """Print all that is known of a clip.

    Args:
        console: the terminal.
        row: the clip.
        links: addresses in the viewer.
        evidence: text of each piece of evidence, by its id.
        scores: one line for each score set.
    """
    _print_title(console, row, links)
    _print_rows(console, _texts(row, links, full=True) + _claims(row, links, evidence) + _facts(row, scores))


def _print_title(console: Console, row: MarkedText, links: ViewerLinks) -> None:
    title = Text.assemble(
        (f"{row['level']:<6}", f"bold {_LEVEL_STYLE[row['level']]}"),
        f" {clock(row['start'])}-{clock(row['end'])} ({row['end'] - row['start']:.1f} s)  ",
        (on_one_line(row["key"]), Style(bold=True, link=links.clip(row["key"]))),
    )
    console.print(title, soft_wrap=True)


def _print_rows(console: Console, rows: Sequence[tuple[Text, Text]]) -> None:
    """Print labels with their values, and an empty line."""
    if console.is_terminal:
        table = Table.grid(padding=(0, 1), pad_edge=True)
        table.add_column(min_width=_LABEL, no_wrap=True)
        table.add_column(overflow="fold")
        for label, value in rows:
            table.add_row(label, value)
        console.print(table)
    else:
        for label, value in rows:
            padded = f"  {label.plain:<{_LABEL}} " if label.plain else " " * (_LABEL + 3)
            console.print(Text.assemble(padded, value), soft_wrap=True)
    console.print()


def _row(label: str, value: str | Text | None, style: str = "") -> list[tuple[Text, Text]]:
    """Return a row of a label with a value; none if there is no value."""
    if not value:
        return []
    return [(Text(on_one_line(label), "dim"), value if isinstance(value, Text) else Text(on_one_line(value), style))]


def _texts(row: MarkedText, links: ViewerLinks, *, full: bool) -> list[tuple[Text, Text]]:
    rows = _row("source", row["source"])
    if row["keep"] is False:  # null before a selection marks it
        rows += _row("dropped", row["filter_reason"], "yellow")
    rows += _row(f"speech {row['language'] or ''}".strip(), _shortened(row["subtitle"], full))
    rows += _row("  summary", row["subtitle_summary"])
    rows += _row("frames", row["caption"])
    rows += _row("  summary", row["caption_summary"])
    for label, column in _TOLD.items():
        rows += _row(label, _told(row, column))
    rows += _row("stills", _stills(row, links))
    return rows + _row("grounded", _grounded(row), "bold")


def _grounded(row: MarkedText) -> str:
    """Return the grounded text, its status, and how its claims fared."""
    told = "" if row["grounding_score"] is None else f", {row['grounding_score']:.0%} of claims supported"
    rejected = rejections(list(row["claims"] or ()))
    return (
        f"{row['grounded_text'] or '(nothing)'}  [{row['rewrite_status']}{told}{f'; {rejected}' if rejected else ''}]"
    )


def _stills(row: MarkedText, links: ViewerLinks) -> Text:
    """Return the times of the stills as links."""
    times = [each["time"] for each in row["frame_captions"] or ()]
    return Text(", ").join(Text(clock(time), Style(link=links.still(row, time))) for time in times)


def _claims(row: MarkedText, links: ViewerLinks, evidence: Mapping[str, str]) -> list[tuple[Text, Text]]:
    """Return each claim with its verdict, the judge's ruling, and the evidence that it cites."""
    rows: list[tuple[Text, Text]] = []
    for claim in row["claims"] or ():
        verdict = on_one_line(claim["verdict"] or "")
        rows.append((Text(verdict, _VERDICT_STYLE.get(verdict, "yellow")), Text(on_one_line(claim["text"] or ""))))
        rows += [(Text(), Text(on_one_line(why(claim)), "dim"))] if why(claim) else []
        for id_ in claim["evidence"] or ():
            cited = Text(on_one_line(id_), Style(link=_address(row, links, id_), underline=False))
            rows.append((Text(), Text.assemble("<- ", cited, f"  {on_one_line(evidence.get(id_, ''))}".rstrip())))
    return rows


def _address(row: MarkedText, links: ViewerLinks, id_: str) -> str:
    try:
        start, end = span_of(id_)
    except ValueError:
        return links.clip(row["key"])
    return links.still(row, (start + end) / 2)


def _facts(row: MarkedText, scores: Mapping[str, str]) -> list[tuple[Text, Text]]:
    columns: Mapping[str, Any] = row
    values = {name: columns[name] for name in _FACTS} | dict(row["models"] or {})
    rows = [each for name, value in values.items() for each in _row(name, _shown(value), "dim")]
    return rows + [each for name, line in scores.items() for each in _row(f"scores {name}", line, "dim")]


def _shown(value: object) -> str | None:
    return None if value is None else str(value)


def _told(row: MarkedText, column: str) -> str:
    """Return events, texts or objects on one line, each with its start; a layer of schema version 1 has none."""
    columns: Mapping[str, Any] = row
    return "; ".join(f"{clock(each['start'])} {each['text']}" for each in columns.get(column) or [])


def _shortened(text: str, full: bool) -> str:
    return text if full or len(text) <= _SUBTITLE_CHARACTERS else text[:_SUBTITLE_CHARACTERS].rsplit(" ", 1)[0] + " …"
