"""The benchmarks that a selection was cleaned of: those of the tables of contamination that it was made from."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from shards.errors import ShardError
from shards.reader import read_artifact, read_note
from shards.selections.selection import FOLDER, table_name
from shards.storage.store import Store

BENCHMARK: Final = "benchmark"
"""Key of the note in the footer of a table of contamination: the benchmark that was looked for."""


def clean_benchmarks(store: Store, selection: str) -> frozenset[str]:
    """Return the benchmarks whose matches a selection, or one that it began with, left out.

    A table that has been made again since does not count: the selection was made from another.

    Raises:
        ShardError: the selection's table is unreadable.
        FileNotFoundError: there is no such selection.
    """
    found: set[str] = set()
    waiting, seen = [table_name(selection)], set()
    while waiting:
        table = waiting.pop()
        seen.add(table)
        for name, digest in read_artifact(store, table).inputs.items():
            folder = PurePosixPath(name).parts[0]
            if folder not in (FOLDER, "contamination") or name in seen or not _is_present(store, name, digest):
                continue
            if folder == FOLDER:
                waiting.append(name)
            elif (benchmark := read_note(store, name, BENCHMARK)) is not None:
                found.add(benchmark)
    return frozenset(found)


def _is_present(store: Store, name: str, digest: str) -> bool:
    try:
        return read_artifact(store, name).digest == digest
    except (FileNotFoundError, ShardError):
        return False
