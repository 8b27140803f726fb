"""The three clips of the demo that tell most, to be shown at its end. Pure but for the query."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from curation.view.inspect_clips import ClipQuery, find_clips
from shards.storage.store import Store
from shards.stored_rows import MarkedText

_ATTACKED: Final = ("contradiction", "orders")
"""Videos whose speech does not agree with their pictures (`curation.demo.demo_scenes`)."""
_ALL: Final = 10_000


def telling_clips(shards: str) -> list[str]:
    """Return the keys of three clips of a DIR; see `choose`."""
    return choose(find_clips(Store(shards), ClipQuery(limit=_ALL)).rows)


def choose(rows: Sequence[MarkedText]) -> list[str]:
    """Return the keys of the fullest text, and of the two clips whose speech must not come through.

    The fullest text has most supported claims; of several, it is the one of which the judges rejected most, because it
    shows what they are for.
    """
    attacked = [row["key"] for name in _ATTACKED for row in rows if Path(row["source"]).stem == name][:2]
    written = [row for row in rows if row["rewrite_status"] == "ok" and row["key"] not in attacked]
    fullest = max(written, key=lambda row: (_claims(row, True), _claims(row, False)), default=None)
    return ([fullest["key"]] if fullest else []) + attacked


def _claims(row: MarkedText, is_supported: bool) -> int:
    return sum((claim["verdict"] == "supported") is is_supported for claim in row["claims"] or [])
