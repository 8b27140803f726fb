"""Appends sources to a DIR as parts of bounded size, and upgrades the single table of earlier versions.

Parts are written in order of their shards and never again: a run that is killed while it adds sources leaves whole
shards, and the next run adds the others behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from shards.artifact import Artifact
from shards.schema import SOURCES
from shards.sources.source_parts import SINGLE_TABLE, SOURCES_FOLDER, SourceParts, part_name
from shards.storage.store import Store
from shards.writer import commit_table

PART_ROWS: Final = 65_536
"""Most rows of a part, unless a single shard has more."""
GROUP_ROWS: Final = 4_096
"""Rows of a row group."""


def append_parts(store: Store, scratch: Path, tables: Iterable[pa.Table]) -> None:
    """Write sources as new parts.

    Args:
        store: the DIR.
        scratch: an existing folder on a local disk.
        tables: new sources in order of their shards, which are all above those of the DIR; schema
            `shards.schema.SOURCES`.

    Raises:
        OSError: disk full, no permission, network.
    """
    for part in _parts(tables):
        shards = part["shard"]
        write_part(store, scratch, part_name(shards[0].as_py(), shards[-1].as_py()), part)


def write_part(store: Store, scratch: Path, name: str, part: pa.Table) -> None:
    """Write the rows of one part under its name."""
    commit_table(store, scratch, name, part, Artifact("sources", ""), group_rows=GROUP_ROWS)


def upgrade_single_table(store: Store, scratch: Path) -> None:
    """Replace the single table of an earlier version by parts; without one, change nothing.

    The table is deleted last: an upgrade that is interrupted is made again.
    """
    if not store.exists(SINGLE_TABLE):
        return
    store.delete_folder(SOURCES_FOLDER)
    append_parts(store, scratch, SourceParts(store).tables())
    store.delete(SINGLE_TABLE)


def _parts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows cut between shards into pieces of at most `PART_ROWS` where shards allow it."""
    held = SOURCES.empty_table()
    for table in tables:
        held = pa.concat_tables([held, table])
        while held.num_rows > PART_ROWS and (cut := _cut(held)):
            yield held.slice(0, cut)
            held = held.slice(cut)
    if held.num_rows:
        yield held


def _cut(held: pa.Table) -> int:
    """Return the last boundary between shards within a part, otherwise the first one; 0 if there is none."""
    shards = held["shard"].to_numpy()
    boundaries = np.flatnonzero(np.diff(shards)) + 1
    within = boundaries[boundaries <= PART_ROWS]
    return int(within[-1] if len(within) else boundaries[0] if len(boundaries) else 0)
