"""`curate inspect`: shows clips with their texts in the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.markup import escape

from curation.grounding.audit.clip_evidence import DrawnClip, read_sample
from curation.reporting.next_command import layer_arguments, layers_with_clips, print_next
from curation.reporting.spoken_numbers import counted
from curation.view.clip_sheet import ViewerLinks, print_clip, print_whole_clip
from curation.view.score_figures import clip_scores
from curation.view.sql_tables import clips_where, damage_reported, rows_of
from runtime.errors import UserError, nearest
from runtime.terminal import SafeConsole
from shards.selections.marked_texts import find_selection, marks_itself
from shards.selections.selection import STAGE
from shards.storage.store import Store
from shards.stored_rows import MarkedText

VIEWER: Final = "http://127.0.0.1:8765"
"""Address of a viewer that was started without options."""


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


def show_clips(root: str, query: ClipQuery, console: Console | None = None, *, viewer: str = VIEWER) -> int:
    """Print the clips that match; return 0, or 1 if there are none.

    Args:
        root: the DIR.
        query: the clips.
        console: None: the terminal.
        viewer: address of a viewer of the DIR, for links.
    """
    console = console or SafeConsole(highlight=False)
    links = ViewerLinks(viewer)
    clips = find_clips(Store(root), query)
    if not clips.rows:
        console.print(f"no clip of layer {clips.layer!r} matches", markup=False)
        if not clips.are_marked:
            console.print(no_marks_yet(root, clips.layer), markup=False, soft_wrap=True)
        return 1
    for row in clips.rows:
        if query.key is None:
            print_clip(console, row, links)
        else:
            scores = clip_scores(Store(root), row["key"], row["shard"])
            print_whole_clip(console, row, links, _evidence(Store(root), clips.layer, row), scores)
    total = counted(clips.total, "clip")
    if not clips.are_marked:
        console.print(f"[dim]{escape(no_marks_yet(root, clips.layer))}[/dim]", soft_wrap=True)
    shown = f"{len(clips.rows)} of {total}" if clips.total > len(clips.rows) else total
    linked = "; keys and stills are links while `curate view` is running" if console.is_terminal else ""
    console.print(f"[dim]{shown} of layer {escape(clips.layer)}{linked}[/dim]", soft_wrap=True)
    own = layer_arguments(Store(root), clips.layer)
    print_next(console, *(["view", root] if query.key else ["inspect", root, "--key", clips.rows[0]["key"]]), *own)
    return 0


def _evidence(store: Store, layer: str, row: MarkedText) -> dict[str, str]:
    """Return the text of each piece of evidence that there is for a clip, by its id."""
    sample = read_sample(store, layer, [DrawnClip(0, row["key"], row["shard"], "", 0)])
    return {item.id: item.text for clip in sample.clips for item in clip.evidence}


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
    layers = layers_with_clips(store)
    if not layers:
        raise UserError(f"{store.root}: holds no text layer yet; run `curate run` on it first")
    if wanted is None:
        if len(layers) > 1:
            raise UserError(f"--layer: {store.root} holds several layers, name one of: {', '.join(layers)}")
        return layers[0]
    if wanted not in layers:
        raise UserError(f"--layer {wanted}: no such text layer{nearest(wanted, layers)}")
    return wanted
