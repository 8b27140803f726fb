"""Sources of committed shards that are pending: their hosts refused others, or their downloads were late.

A shard is committed with what was made of it. If none of its sources was tried, the shard counts as not made, and the
next run makes it again in its place. If some were, the others go into a new shard at the end, as failed ones do with
``--retry-failed``. The next run does this; for late sources, the same run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import pyarrow.compute as pc

from curation.sources.source_rows import SourceRow
from shards.keys import shard_name
from shards.reader import read_table
from shards.storage.store import Store

_COLUMNS = ("source", "video_id", "start", "end", "shard", "attempt")
_UNKNOWN: Final[dict[str, Any]] = {"planned_state": None, "carried": None}
_WITHOUT_WORK = ("filtered:duplicate", "filtered:excluded")


def has_postponed(counts: Mapping[str, float]) -> bool:
    """Return True if a shard has sources that were postponed.

    Args:
        counts: figures of the shard's media or ledger (`shards.artifact.Artifact.counts`).
    """
    return counts.get("pending", 0) > 0


def is_untried(counts: Mapping[str, float]) -> bool:
    """Return True if a shard has sources that were postponed, and none that was tried."""
    tried = sum(counts.get(state, 0) for state in ("written", "filtered", "failed"))
    return has_postponed(counts) and tried == sum(counts.get(name, 0) for name in _WITHOUT_WORK)


def postponed_rows(store: Store, shards: Iterable[int], classes: Collection[str]) -> Iterator[SourceRow]:
    """Yield the attempts that the ledgers of `shards` record as pending, without what a manifest carried along.

    Args:
        store: the DIR.
        shards: shards that `has_postponed`.
        classes: classes of pending sources to yield (`shards.schema.PostponedClass`).
    """
    for shard in shards:
        ledger = read_table(store, f"ledger/{shard_name(shard)}.parquet", (*_COLUMNS, "state", "class"))
        for row in ledger.filter(pc.equal(ledger["state"], "pending")).to_pylist():
            if row["class"] in classes:
                yield SourceRow(**{name: row[name] for name in _COLUMNS} | _UNKNOWN)
