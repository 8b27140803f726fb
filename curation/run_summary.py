"""The last lines of `curate run`: the sources by state, and one command that has something to show."""

from __future__ import annotations

import shlex
from collections import Counter

from rich.console import Console

from curation.sources.source_states import source_states
from shards.reader import num_rows, text_layers
from shards.schema import STATES
from shards.storage.store import Store


def print_summary(store: Store, layer: str, console: Console) -> None:
    """Print the sources by state, and the next command."""
    states = Counter(source.state for source in source_states(store))
    total = " + ".join(f"{states[state]} {state}" for state in STATES)
    console.print(f"sources: {states.total()} in = {total}")
    console.print(f"next: {next_command(store, layer)}", markup=False)


def next_command(store: Store, layer: str) -> str:
    """Return the command that shows the texts of `layer`; if there are none, the states of the sources."""
    root, folder = shlex.quote(store.root), f"text/{layer}"
    names = [f"{folder}/{name}" for name in store.list(folder) if name.endswith(".parquet")]
    if not any(num_rows(store, name) for name in names):
        return f"curate status {root}"
    return f"curate inspect {root}" + (f" --layer {layer}" if len(text_layers(store)) > 1 else "")
