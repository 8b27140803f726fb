"""The text of a clip that is compared with its pictures."""

from __future__ import annotations

from collections.abc import Sequence

from shards.stored_rows import StoredText


def clip_text(row: StoredText | None, columns: Sequence[str]) -> str | None:
    """Return the first text of some columns that is not empty; None if there is none."""
    texts = ("" if row is None else str(row.get(column) or "").strip() for column in columns)
    return next((text for text in texts if text), None)
