"""The columns that a manifest of sources carries along, joined to clips, so that a condition in SQL can name them.

They are kept as one JSON object for each source in the table of sources. A column keeps its name, unless clips have one
of that name: it is then ``carried_NAME``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from shards.sources.source_parts import SourceParts
from shards.storage.store import Store

if TYPE_CHECKING:
    import duckdb

_SPAN: Final = ("span_source", "span_video", "span_shard", "span_start", "span_end")
"""Columns that tell which clips a row is joined to."""
_JOIN: Final = """
select clips.*, spans.* exclude (span_source, span_video, span_shard, span_start, span_end)
from clips left join spans on clips.source = span_source and clips.video_id = span_video and clips.shard = span_shard
    and clips.start >= span_start - 0.001 and clips.start < span_end
"""


def carried_spans(store: Store, clip_columns: Collection[str]) -> pa.Table:
    """Return one row for each source that was to be curated and carries columns: its span, and those columns.

    Args:
        store: the DIR; without a table of sources there are no rows and no columns.
        clip_columns: names that are taken.

    Raises:
        ShardError: the table of sources is unreadable.
    """
    rows = [
        row
        for table in SourceParts(store).tables(("source", "video_id", "start", "end", "shard", "verdict", "carried"))
        for row in table.filter(pc.and_(pc.is_valid(table["carried"]), pc.is_null(table["verdict"]))).to_pylist()
    ]
    values = [json.loads(row["carried"]) for row in rows]
    spans = [
        [row["source"] for row in rows],
        [row["video_id"] for row in rows],
        pa.array([row["shard"] for row in rows], pa.int32()),
        pa.array([row["start"] or 0.0 for row in rows], pa.float64()),
        pa.array([math.inf if row["end"] is None else row["end"] for row in rows], pa.float64()),
    ]
    table = pa.table(dict(zip(_SPAN, spans, strict=True)))
    for name in dict.fromkeys(name for value in values for name in value):
        free = _free(name, (*clip_columns, *table.column_names))
        table = table.append_column(free, _column([value.get(name) for value in values]))
    return table


def with_carried(
    connection: duckdb.DuckDBPyConnection, clips: duckdb.DuckDBPyRelation, spans: pa.Table
) -> duckdb.DuckDBPyRelation:
    """Return clips with the carried columns of the source that each is from.

    Args:
        connection: the one that `clips` belongs to.
        clips: with the columns ``source``, ``video_id``, ``shard`` and ``start``.
        spans: of `carried_spans`.
    """
    if len(spans.column_names) == len(_SPAN):
        return clips
    connection.register("spans", spans)
    return clips.query("clips", _JOIN)


def _free(name: str, taken: Collection[str]) -> str:
    lowered = {one.lower() for one in taken}  # SQL does not tell capitals apart
    while name.lower() in lowered:
        name = f"carried_{name}"
    return name


def _column(values: Sequence[Any]) -> pa.Array:
    """Return values as a column; as text if they are of several types."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([value if value is None or isinstance(value, str) else json.dumps(value) for value in values])
