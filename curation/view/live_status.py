"""The run that works on a DIR now, and how far it is: by its lock, by listings, and by the last line of its log."""

from __future__ import annotations

import time
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.reporting.run_costs import last_figures
from curation.reporting.run_logs import run_logs
from curation.reporting.spoken_numbers import length
from runtime.terminal import on_one_line
from shards.reader import media_shards, shards_in, text_layers
from shards.scores.score_set import score_sets
from shards.sources.source_parts import SourceParts, shards_of_part
from shards.storage.dir_lock import STALE_SECONDS, LockOwner, read_lock
from shards.storage.store import Store

_CAPTIONS: Final = "captions"


def running_owner(store: Store) -> LockOwner | None:
    """Return the owner of the DIR's lock; None if no run holds it, or its owner gives no sign of life."""
    owner = read_lock(store)
    is_alive = owner is not None and not owner.is_gone() and time.time() - owner.beat < STALE_SECONDS
    return owner if is_alive else None


def print_running(console: Console, store: Store, owner: LockOwner) -> None:
    """Print that a run holds the DIR, since when, and the outlook of its log."""
    since = length(max(time.time() - owner.started, 0.0) / 3600)
    line = f"running for {since} (process {owner.pid} on {owner.host})"
    if logs := run_logs(store):
        record = last_figures(store, logs[-1])
        eta, starting = record.get("eta"), record.get("starting")
        if isinstance(starting, list) and starting:
            line += f"; starting {', '.join(map(str, starting))}"
        elif isinstance(eta, int | float):
            line += f"; {length(eta / 3600)} left at the pace so far"
    console.print(on_one_line(line), markup=False, soft_wrap=True)


def print_shards(console: Console, store: Store) -> None:
    """Print for each folder of artifacts how many shards are made; nothing is opened but the list of sources."""
    total = _shards(store)
    made = {"media": len(media_shards(store))}
    folders = [f"{_CAPTIONS}/{name}" for name in store.folders(_CAPTIONS)]
    folders += [f"scores/{name}" for name in score_sets(store)] + [f"text/{name}" for name in text_layers(store)]
    made |= {folder: len(shards_in(store.list(folder))) for folder in folders}
    table = Table(title="shards", title_justify="left")
    for name in ("folder", "made", "of", ""):
        table.add_column(name, justify="left" if name == "folder" else "right")
    for folder, count in made.items():
        share = f"{count / total:.0%}" if total else ""
        table.add_row(Text(on_one_line(folder)), f"{count:,}", f"{total:,}", share)
    console.print(table)


def _shards(store: Store) -> int:
    """Return the number of shards that the sources fill: by the names of their parts, where they are in parts."""
    sources = SourceParts(store)
    if not sources.is_single:
        parts = [shards_of_part(name.rpartition("/")[2]) for name in sources.names]
        return sum(part[1] - part[0] + 1 for part in parts if part is not None)
    return len(sources.table(["shard"])["shard"].unique())
