"""The clips of a text layer with their marks as a relation of DuckDB, straight from Parquet: for conditions in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from shards.selections.selection import MARKS, Selection

if TYPE_CHECKING:
    import duckdb

_NO_MARKS: Final = 'null::boolean as "keep", null::varchar as "filter_reason", null::varchar as "split"'


def marked_clips(
    connection: duckdb.DuckDBPyConnection, files: Sequence[str], selection: Selection | None, *, numbered: bool = False
) -> duckdb.DuckDBPyRelation:
    """Return the clips of a text layer with their marks; a clip that no selection has marked yet has null marks.

    Args:
        connection: one that can read the DIR.
        files: paths of the layer's tables, at least one.
        selection: None: the layer's own marks if it has any.
        numbered: add the column ``file_row_number``, the place of the clip in its file, from 0.
    """
    clips = connection.read_parquet(list(files), file_row_number=numbered)
    has_marks = set(MARKS) <= set(clips.columns)
    if selection is None:
        return clips if has_marks else clips.project(f"*, {_NO_MARKS}")
    own = clips.project(f"* exclude ({', '.join(MARKS)})") if has_marks else clips
    marks = connection.read_parquet(selection.store.path(selection.file)).project(f"key, {', '.join(MARKS)}")
    return own.join(marks, "key", how="left")
