"""`curate inspect`: curated captions for people, in a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from curation.view.sql_tables import connect, files, select
from runtime.errors import UserError, nearest
from shards.reader import text_layers
from shards.storage.store import Store

_LEVEL_STYLE = {"short": "cyan", "medium": "green", "long": "magenta"}
_VERDICT_STYLE = {"supported": "green", "unsupported": "red"}
_SUBTITLE_CHARACTERS = 400


@dataclass(frozen=True)
class Selection:
    """Which clips to show; unset parts select all."""

    layer: str | None = None
    key: str | None = None
    level: str | None = None
    where: str | None = None
    limit: int = 10


def show_clips(root: str, selection: Selection, console: Console | None = None) -> int:
    """Print the selected clips; 1 where none matches."""
    console = console or Console(highlight=False)
    layer, rows, total = find_clips(Store(root), selection)
    if not rows:
        console.print(f"no clip of layer {layer!r} matches", markup=False)
        return 1
    for row in rows:
        _print_clip(console, row, full=selection.key is not None)
    shown = f"{len(rows)} of {total} clips" if total > len(rows) else f"{total} clip{'s' * (total != 1)}"
    console.print(
        f"[dim]{shown} of layer {escape(layer)}; one in full: curate inspect {escape(root)} --key KEY[/dim]",
        soft_wrap=True,
    )
    return 0


def find_clips(store: Store, selection: Selection) -> tuple[str, list[dict[str, Any]], int]:
    """The layer that is read, the selected rows in time order, and how many match in all.

    Raises:
        UserError: no such layer, or a condition that DuckDB refuses.
    """
    layer = pick_layer(store, selection.layer)
    conditions, parameters = ["true"], []
    if selection.key:
        conditions.append("key = ?")
        parameters.append(selection.key)
    if selection.level:
        conditions.append("level = ?")
        parameters.append(selection.level)
    if selection.where:
        conditions.append(f"({selection.where})")
    connection = connect(store)
    # The condition is the user's own SQL over their own files.
    source = f"from read_parquet(?) where {' and '.join(conditions)}"
    paths = files(store, f"text/{layer}")
    order = "order by shard, source, start, level desc"
    rows = select(connection, f"select * {source} {order} limit {selection.limit:d}", [paths, *parameters])
    total = select(connection, f"select count(*) as n {source}", [paths, *parameters])[0]["n"]
    return layer, rows, int(total)


def pick_layer(store: Store, wanted: str | None) -> str:
    """The named text layer, or the only one there is; `UserError` names those that exist."""
    layers = [layer for layer in text_layers(store) if files(store, f"text/{layer}")]
    if not layers:
        raise UserError(f"{store.root}: holds no text layer yet; run `curate run` on it first")
    if wanted is None:
        if len(layers) > 1:
            raise UserError(f"--layer: {store.root} holds several layers, name one of: {', '.join(layers)}")
        return layers[0]
    if wanted not in layers:
        raise UserError(f"--layer {wanted}: no such text layer{nearest(wanted, layers)}")
    return wanted


def _print_clip(console: Console, row: dict[str, Any], *, full: bool) -> None:
    style = _LEVEL_STYLE[row["level"]]
    head = Text.assemble(
        (f"{row['level']:<6}", f"bold {style}"),
        f" {_clock(row['start'])}-{_clock(row['end'])} ({row['end'] - row['start']:.1f} s)  ",
        (row["key"], "bold"),
    )
    console.print(head, soft_wrap=True)
    _line(console, "source", row["source"])
    if not row["keep"]:
        _line(console, "dropped", row["filter_reason"], "yellow")
    _line(console, f"speech {row['language'] or ''}".strip(), _cut(row["subtitle"], full))
    _line(console, "  summary", row["subtitle_summary"])
    _line(console, "frames", row["caption"])
    _line(console, "  summary", row["caption_summary"])
    score = "" if row["grounding_score"] is None else f", {row['grounding_score']:.0%} of claims supported"
    _line(console, "grounded", f"{row['grounded_text'] or '(nothing)'}  [{row['rewrite_status']}{score}]", "bold")
    if full:
        _print_evidence(console, row)
    console.print()


def _print_evidence(console: Console, row: dict[str, Any]) -> None:
    for claim in row["claims"] or []:
        verdict = Text(f"{claim['verdict']:>12}", _VERDICT_STYLE.get(claim["verdict"], "yellow"))
        console.print(
            Text.assemble("  ", verdict, f"  {claim['text']}  <- {', '.join(claim['evidence'] or []) or '-'}")
        )
    for name in (
        "root_key",
        "parent_key",
        "offset",
        "width",
        "height",
        "fps",
        "num_frames",
        "subtitle_origin",
        "split",
    ):
        _line(console, name, str(row[name]), "dim")
    for name, value in (row["models"] or {}).items():
        _line(console, name, value, "dim")


def _line(console: Console, label: str, value: str | None, style: str = "") -> None:
    if value:
        console.print(Text.assemble((f"  {label:<14}", "dim"), (value, style)), soft_wrap=not console.is_terminal)


def _cut(text: str, full: bool) -> str:
    return text if full or len(text) <= _SUBTITLE_CHARACTERS else text[:_SUBTITLE_CHARACTERS].rsplit(" ", 1)[0] + " …"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
