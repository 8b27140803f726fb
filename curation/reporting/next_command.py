"""The last line of a command: one next command, as a shell takes it."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console

from shards.reader import text_layers
from shards.storage.store import Store


def print_next(console: Console, *arguments: str) -> None:
    """Print a command of `curate` that can be pasted, on one line."""
    print_command(console, program(), *arguments)


def print_command(console: Console, *words: str) -> None:
    """Print any next command that can be pasted, on one line."""
    console.print(f"next: {shlex.join(words)}", markup=False, highlight=False, soft_wrap=True)


def layer_arguments(store: Store, layer: str) -> list[str]:
    """Return the arguments that name a layer, for commands that ask for one where there are several."""
    return ["--layer", layer] if len(text_layers(store)) > 1 else []


def print_leave_out(console: Console, store: Store, flag: str, name: str) -> None:
    """Print the command that makes a selection without the clips that a table names.

    Args:
        console: the terminal.
        store: the DIR.
        flag: of `curate select`: ``--dedup`` or ``--clean-of``.
        name: of the table.
    """
    layers = layers_with_clips(store)
    if layers:
        own = layer_arguments(store, layers[0])
        print_next(console, "select", store.root, "--name", f"without-{name}", flag, name, *own)


def layers_with_clips(store: Store) -> list[str]:
    """Return the text layers that have a table."""
    return [
        name for name in text_layers(store) if any(file.endswith(".parquet") for file in store.list(f"text/{name}"))
    ]


def program() -> str:
    """Return the name by which a shell finds `curate`: the bare name, or its path beside this interpreter."""
    beside = Path(sys.executable).with_name("curate")
    if shutil.which("curate") is not None or not beside.exists():
        return "curate"
    return relative_to_here(beside)


def relative_to_here(path: Path) -> str:
    """Return a path as it is named from the working folder, if it is below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
