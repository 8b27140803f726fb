"""The marks of clips, from the facts that filters decide on: rows of text and media in, rows of a selection out. Pure.

`curation.selection.select_stage` reads and writes the tables.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curation.filters.clip_filter import ClipFacts
from curation.filters.filter_registry import FilterSettings, reason_to_drop
from shards.errors import ShardError
from shards.keys import split_of
from shards.schema import SELECTION

_FACTS: Final = ("level", "start", "end", "language", "subtitle", "caption", "grounded_text")
TEXT_COLUMNS: Final = ("key", "video_id", "shard", *_FACTS)
"""Columns of a text layer that marks are made from; all schema versions have them."""
MEDIA_COLUMNS: Final = ("key", "speech_seconds", "motion")
"""Columns of the media table that marks are made from."""


def mark_clips(texts: pa.Table, media: pa.Table, filters: FilterSettings, val_percent: float) -> pa.Table:
    """Return the marks of the clips of one shard (`shards.schema.SELECTION`), in the order of `texts`.

    Args:
        texts: `TEXT_COLUMNS` of the shard.
        media: `MEDIA_COLUMNS` of the shard, in any order.
        filters: their settings.
        val_percent: share of videos in the split `val`, 0 to 100.

    Raises:
        ShardError: a clip has texts but no media.
    """
    numbers = pc.index_in(texts["key"], value_set=media["key"].combine_chunks())
    if numbers.null_count:
        raise ShardError(f"{numbers.null_count} clips have texts but no media; run `curate check`")
    split = cache(lambda video: split_of(video, val_percent))
    facts = zip(
        *(texts[name].to_pylist() for name in _FACTS),
        *(media[name].take(numbers).to_pylist() for name in ("speech_seconds", "motion")),
        strict=True,
    )
    reasons = [
        reason_to_drop(ClipFacts(level, end - start, language, subtitle, caption, grounded, speech, motion), filters)
        for level, start, end, language, subtitle, caption, grounded, speech, motion in facts
    ]
    columns = {
        "key": texts["key"],
        "shard": texts["shard"],
        "keep": pa.array([reason is None for reason in reasons], pa.bool_()),
        "filter_reason": pa.array(reasons, pa.string()),
        "split": pa.array(map(split, texts["video_id"].to_pylist()), pa.string()),
    }
    return pa.table(columns).cast(SELECTION)


def mark_counts(marks: pa.Table) -> Counter[str]:
    """Return the figures of marks: ``clips``, ``kept``, ``val``, ``kept_val`` (both), and ``dropped:<reason>``."""
    reasons = Counter(reason for reason in marks["filter_reason"].to_pylist() if reason is not None)
    kept = pc.sum(marks["keep"]).as_py() or 0
    in_val = pc.equal(marks["split"].cast(pa.string()), "val")
    held_out, both = (pc.sum(mask).as_py() or 0 for mask in (in_val, pc.and_(in_val, marks["keep"])))
    dropped = {f"dropped:{reason}": count for reason, count in reasons.items()}
    return Counter({"clips": marks.num_rows, "kept": kept, "val": held_out, "kept_val": both} | dropped)
