"""Rows of the table of sources as typed records: one attempt at one source, and the shard that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

import pyarrow as pa

from shards.schema import SOURCES

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class SourceKey(NamedTuple):
    """The identity of a source: two rows with the same key are attempts at the same source."""

    source: str
    video_id: str
    start: float | None
    end: float | None


@dataclass(frozen=True)
class SourceRow:
    """One row of the table of sources."""

    source: str
    """URL as given, or absolute path."""
    video_id: str
    """Sixteen hex digits, see `shards.keys`."""
    start: float | None
    """Start of the span in seconds; None: the start of the video."""
    end: float | None
    """End of the span in seconds; None: the end of the video."""
    shard: int
    attempt: int
    """1 for the first attempt; each ``--retry-failed`` adds one."""
    planned_state: str | None
    """None: the source is to be curated; ``duplicate`` or ``excluded``: it was filtered before any work. This is the
    column ``verdict``."""
    carried: str | None
    """JSON object of the manifest's other columns."""
    overlap: int = 1
    """Number of the source in the keys of its clips, see `shards.sources.overlapping_spans`."""

    @property
    def key(self) -> SourceKey:
        """The identity of the source, without the attempt."""
        return SourceKey(self.source, self.video_id, self.start, self.end)


def is_url(source: str) -> bool:
    """Return True if a source is a URL (``scheme://…``), False if it is a path."""
    return _URL.match(source) is not None


def source_rows(table: pa.Table) -> list[SourceRow]:
    """Return the rows of a table with the schema `shards.schema.SOURCES`."""
    columns = (table[name].to_pylist() for name in _COLUMNS)
    return [SourceRow(*values) for values in zip(*columns, strict=True)]


def source_table(rows: Iterable[SourceRow]) -> pa.Table:
    """Return `rows` as a table with the schema `shards.schema.SOURCES`."""
    values = [asdict(row) for row in rows]
    renamed = [{"verdict" if name == "planned_state" else name: row[name] for name in row} for row in values]
    return pa.Table.from_pylist(renamed, schema=SOURCES)


_COLUMNS = ("source", "video_id", "start", "end", "shard", "attempt", "verdict", "carried", "overlap")
"""Columns in the order of the fields of `SourceRow`."""
