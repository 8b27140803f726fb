"""The footer of a selection's table, parsed once in each process.

It holds the digests of all tables that the selection was made from, two for each shard of the DIR: a reader that goes
from shard to shard must not parse them each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shards.artifact import FOOTER_KEY, Artifact
from shards.storage.store import Store

_KEPT: Final = 4
"""Footers that a process keeps."""
_lock = Lock()


@dataclass(frozen=True, eq=False)
class SelectionFooter:
    """What the footer says of rows and groups."""

    metadata: Any
    """Arrow's `FileMetaData`, for opening the file without reading its footer."""
    columns: tuple[str, ...]
    digest: str
    """Digest of the selection's rows."""
    first: NDArray[np.float64]
    """The first shard that each row group may have rows of."""
    last: NDArray[np.float64]
    """The last one."""

    def groups(self, shard: int) -> list[int]:
        """Return the row groups that may have rows of a shard."""
        return [int(group) for group in np.flatnonzero((self.first <= shard) & (shard <= self.last))]


def selection_footer(store: Store, name: str) -> SelectionFooter:
    """Return the footer of the table `name`; read only if the file has changed since it was last asked for.

    Raises:
        ShardError: its record is unreadable.
        ArrowInvalid: it is not a Parquet file.
        FileNotFoundError: there is no such file.
    """
    with _lock:  # threads that start together wait for one of them to read
        return _read(store.root, name, store.entry(name).token)


@lru_cache(maxsize=_KEPT)
def _read(root: str, name: str, token: str) -> SelectionFooter:
    with Store(root).open(name) as opened:
        metadata = pq.ParquetFile(opened).metadata
    record = Artifact.from_json((metadata.metadata or {}).get(FOOTER_KEY.encode(), b""))
    names = tuple(metadata.schema.to_arrow_schema().names)
    spans = [_span(metadata.row_group(group), names) for group in range(metadata.num_row_groups)]
    first, last = np.array(spans, np.float64).reshape(-1, 2).T
    return SelectionFooter(metadata, names, record.digest, first, last)


def _span(group: Any, names: tuple[str, ...]) -> tuple[float, float]:
    """Return the first and the last shard of a row group, from the statistics of its column."""
    statistics = group.column(names.index("shard")).statistics if "shard" in names else None
    if statistics is None or not statistics.has_min_max:
        return -math.inf, math.inf
    return statistics.min, statistics.max
