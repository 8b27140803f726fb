"""`curate inspect`: shows clips with their texts in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from curation.view.score_figures import clip_scores
from curation.view.sql_tables import clips_where, damage_reported, files, rows_of
from runtime.errors import UserError, nearest
from runtime.terminal import SafeConsole, on_one_line
from shards.reader import text_layers
from shards.selections.marked_texts import find_selection, marks_itself
from shards.selections.selection import STAGE
from shards.storage.store import Store
from shards.stored_rows import MarkedText, StoredClaim

_LEVEL_STYLE: Final = {"short": "cyan", "medium": "green", "long": "magenta"}
_VERDICT_STYLE: Final = {"supported": "green", "unsupported": "red"}
_TOLD: Final = {"events": "events", "on screen": "on_screen_text", "objects": "objects"}
_SUBTITLE_CHARACTERS: Final = 400


@dataclass(frozen=True)
class ClipQuery:
    """The clips to show; a part that is None selects all."""

    layer: str | None = None
    key: str | None = None
    level: str | None = None
    where: str | None = None
    """Condition over the columns, in DuckDB's SQL."""
    limit: int = 10
    selection: str | None = None
    """Name of the selection; None: that of the layer."""


@dataclass(frozen=True)
class QueriedClips:
    """The clips that match a query, in order of time."""

    layer: str
    rows: list[MarkedText]
    """At most as many as the query's limit."""
    total: int
    """Clips that match."""
    are_marked: bool
    """False if no selection marks the clips of the layer yet."""


def show_clips(root: str, query: ClipQuery, console: Console | None = None) -> int:
    """Print the clips that match; return 0, or 1 if there are none."""
    console = console or SafeConsole(highlight=False)
    clips = find_clips(Store(root), query)
    if not clips.rows:
        console.print(f"no clip of layer {clips.layer!r} matches", markup=False)
        if not clips.are_marked:
            console.print(no_marks_yet(root, clips.layer), markup=False, soft_wrap=True)
        return 1
    for row in clips.rows:
        scores = {} if query.key is None else clip_scores(Store(root), row["key"], row["shard"])
        _print_clip(console, row, scores, full=query.key is not None)
    total = f"{clips.total} clip{'s' * (clips.total != 1)}"
    if not clips.are_marked:
        console.print(f"[dim]{escape(no_marks_yet(root, clips.layer))}[/dim]", soft_wrap=True)
    shown = f"{len(clips.rows)} of {total}" if clips.total > len(clips.rows) else total
    console.print(
        f"[dim]{shown} of layer {escape(clips.layer)}; one in full: curate inspect {escape(root)} --key KEY[/dim]",
        soft_wrap=True,
    )
    return 0


def find_clips(store: Store, query: ClipQuery) -> QueriedClips:
    """Return the clips that match a query.

    Raises:
        UserError: no such layer, or a condition that DuckDB refuses.
        ShardError: no such selection, or a table of the layer is damaged.
    """
    layer = pick_layer(store, query.layer)
    selection = find_selection(store, layer, query.selection)
    clips = clips_where(store, layer, selection, query.where, key=query.key, level=query.level)
    with damage_reported(store, f"text/{layer}"):
        ordered = clips.order("shard, source, start, level desc").limit(query.limit)
    rows = rows_of(ordered, query.where)
    (total,) = rows_of(clips.count("*"), query.where)
    are_marked = selection is not None or marks_itself(store, layer)
    return QueriedClips(layer, rows, int(next(iter(total.values()))), are_marked)


def no_marks_yet(root: str, layer: str) -> str:
    """Return the line that says how to mark the clips of a layer."""
    remedy = f"curate run PIPELINE --output {root} --layer {layer} --stages {STAGE}"
    return f"keep and split are not known yet: no selection marks the clips of layer {layer}; make one with {remedy}"


def check_there(store: Store) -> None:
    """Refuse a folder that is not there.

    Raises:
        UserError: there is no such folder, or it is empty.
    """
    if not store.list() and not store.folders():
        raise UserError(f"{store.root}: no such folder, or nothing in it; name a folder that `curate run` wrote")


def pick_layer(store: Store, wanted: str | None) -> str:
    """Return the named text layer, or the only one.

    Raises:
        UserError: there is no such folder or layer, no layer at all, or several and none was named.
    """
    check_there(store)
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


def _print_clip(console: Console, row: MarkedText, scores: Mapping[str, str], *, full: bool) -> None:
    title = Text.assemble(
        (f"{row['level']:<6}", f"bold {_LEVEL_STYLE[row['level']]}"),
        f" {_clock(row['start'])}-{_clock(row['end'])} ({row['end'] - row['start']:.1f} s)  ",
        (row["key"], "bold"),
    )
    console.print(title, soft_wrap=True)
    _print_line(console, "source", row["source"])
    if row["keep"] is False:  # null before a selection marks it
        _print_line(console, "dropped", row["filter_reason"], "yellow")
    _print_line(console, f"speech {row['language'] or ''}".strip(), _shortened(row["subtitle"], full))
    _print_line(console, "  summary", row["subtitle_summary"])
    _print_line(console, "frames", row["caption"])
    _print_line(console, "  summary", row["caption_summary"])
    for label, column in _TOLD.items():
        _print_line(console, label, _told(row, column))
    score = "" if row["grounding_score"] is None else f", {row['grounding_score']:.0%} of claims supported"
    _print_line(console, "grounded", f"{row['grounded_text'] or '(nothing)'}  [{row['rewrite_status']}{score}]", "bold")
    if full:
        _print_evidence(console, row)
    for name, line in scores.items():
        _print_line(console, f"scores {name}", line, "dim")
    console.print()


def _judged_by(claim: StoredClaim) -> str:
    """Return the judge that decided, with its score or its reason; nothing for layers that don't hold them."""
    judge, score, reason = claim.get("judge"), claim.get("score"), claim.get("reason")
    if judge is None:
        return ""
    return f"  ({judge} {score:.2f})" if score is not None else f"  ({judge}: {reason})"


def _told(row: MarkedText, column: str) -> str:
    """Return events, texts or objects on one line, each with its start; a layer of schema version 1 has none."""
    columns: Mapping[str, Any] = row
    return "; ".join(f"{_clock(each['start'])} {each['text']}" for each in columns.get(column) or [])


def _print_evidence(console: Console, row: MarkedText) -> None:
    for claim in row["claims"] or []:
        verdict = Text(f"{claim['verdict']:>12}", _VERDICT_STYLE.get(claim["verdict"], "yellow"))
        cited = ", ".join(claim["evidence"] or []) or "-"
        console.print(
            Text.assemble("  ", verdict, "  ", on_one_line(f"{claim['text']}  <- {cited}{_judged_by(claim)}"))
        )
    facts = {
        "root_key": row["root_key"],
        "parent_key": row["parent_key"],
        "offset": row["offset"],
        "width": row["width"],
        "height": row["height"],
        "fps": row["fps"],
        "num_frames": row["num_frames"],
        "subtitle_origin": row["subtitle_origin"],
        "split": row["split"],
        **(row["models"] or {}),
    }
    for name, value in facts.items():
        _print_line(console, name, None if value is None else str(value), "dim")


def _print_line(console: Console, label: str, value: str | None, style: str = "") -> None:
    if value:
        console.print(
            Text.assemble((f"  {label:<15} ", "dim"), (on_one_line(value), style)), soft_wrap=not console.is_terminal
        )


def _shortened(text: str, full: bool) -> str:
    return text if full or len(text) <= _SUBTITLE_CHARACTERS else text[:_SUBTITLE_CHARACTERS].rsplit(" ", 1)[0] + " …"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
