"""The rows of a table as JSON without Python values: several times faster, for tables of plain columns."""

from __future__ import annotations

import json
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_ESCAPED: Final = r'["\\\x00-\x1f]'
"""Characters that JSON writes otherwise."""


def plain_rows(batch: pa.RecordBatch) -> str | None:
    """Return the rows of a batch as ``json.dumps`` writes a list of them, without brackets and spaces.

    Returns:
        None if a column holds anything but ASCII text without quotes, whole numbers and booleans.
    """
    parts: list[pa.Array | str] = []
    for number, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        values = _written(column)
        if values is None:
            return None
        parts += [f"{',' if number else '{'}{json.dumps(name, ensure_ascii=False)}:", values]
    if not parts or not batch.num_rows:
        return None
    rows = pc.binary_join_element_wise(*parts, "}", "")
    return ",".join(rows.to_pylist())


def _written(column: pa.Array) -> pa.Array | None:
    """Return each value as JSON writes it."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type):
        if not pc.all(pc.string_is_ascii(column)).as_py() and len(column) > column.null_count:
            return None
        if pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
            return None
        column = pc.binary_join_element_wise('"', column, '"', "")
    elif pa.types.is_boolean(column.type):
        column = pc.if_else(column, "true", "false")
    elif pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    else:
        return None
    return pc.fill_null(column, "null")
