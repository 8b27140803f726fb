"""Caption sets of both schema versions are read as the same rows."""

from __future__ import annotations

import pyarrow as pa

from shards.media.observations import is_version_1, observations_of
from shards.schema import CAPTIONS
from shards.schema_1 import CAPTIONS_1


def test_a_table_of_version_1_is_read_as_frame_captions_at_their_times() -> None:
    old = [{"root_key": "a", "time": 1.5, "caption": "a cat", "confidence": 0.5},
           {"root_key": "a", "time": 2.0, "caption": None, "confidence": None}]  # fmt: skip
    new = [{"root_key": "a", "kind": "frame", "start": row["time"], "end": row["time"], "text": row["caption"],
            "confidence": row["confidence"], "share": None} for row in old]  # fmt: skip
    assert observations_of(pa.Table.from_pylist(old, schema=CAPTIONS_1)) == new
    assert observations_of(pa.Table.from_pylist(new, schema=CAPTIONS)) == new


def test_only_the_exact_columns_of_version_1_count_as_such() -> None:
    assert is_version_1(CAPTIONS_1.with_metadata({"artifact": "x"}))
    assert not is_version_1(CAPTIONS) and not is_version_1(CAPTIONS_1.remove(0))
