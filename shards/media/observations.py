"""Rows of a caption set in today's form, whatever schema version its tables were written in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shards.schema_1 import CAPTIONS_1
from shards.stored_rows import StoredObservation


def observations_of(table: pa.Table) -> list[StoredObservation]:
    """Return the rows of one table of a caption set.

    A row of version 1 is the caption of one keyframe: an observation of the kind ``frame`` at its time.
    """
    rows = table.to_pylist()
    return [_from_version_1(row) for row in rows] if is_version_1(table.schema) else rows


def is_version_1(schema: pa.Schema) -> bool:
    """Return True for the columns of schema version 1."""
    return bool(schema.remove_metadata().equals(CAPTIONS_1))


def _from_version_1(row: dict[str, Any]) -> StoredObservation:
    return StoredObservation(
        root_key=row["root_key"],
        kind="frame",
        start=row["time"],
        end=row["time"],
        text=row["caption"],
        confidence=row["confidence"],
        share=None,
    )
