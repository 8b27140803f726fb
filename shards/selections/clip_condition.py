"""A user's condition over the clips of a text layer, shard by shard: for exports."""

from __future__ import annotations

import pyarrow as pa

from shards.schema import SELECTION
from shards.selections.clip_columns import ClipColumns
from shards.selections.sql_expressions import parse_expression, sandbox


class ClipCondition:
    """A condition in SQL over the columns of `shards.selections.clip_columns`."""

    def __init__(self, columns: ClipColumns, text: str, option: str = "--where") -> None:
        """Parse the condition and look up its columns.

        Raises:
            ShardError: it is not allowed, or names no column.
        """
        self._columns, self._connection = columns, sandbox()
        self._expression = parse_expression(self._connection, text, option)
        self._needed = columns.needed([self._expression])

    def keys(self, shard: int, clips: pa.Table) -> set[str]:
        """Return the keys of the clips of a shard that fulfil it; null is not true.

        Args:
            shard: its number.
            clips: its clips with their marks, and maybe other columns.

        Raises:
            ShardError: a table is unreadable or lacks clips, or the condition fails on a value.
        """
        import duckdb

        marks = clips.select(SELECTION.names)
        joined = self._columns.clips(self._connection, shard, marks, self._needed)
        try:
            rows = joined.filter(duckdb.SQLExpression(self._expression.text)).select("key").fetchall()
        except duckdb.Error as error:
            raise self._expression.refusal(error) from None
        return {key for (key,) in rows}
