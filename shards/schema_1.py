"""Arrow schemas of the tables of schema version 1 that have changed since; they are still read. Never changed."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

_category = pa.dictionary(pa.int8(), pa.string())

# sources.parquet: all sources in one table, also in DIRs of the first releases of version 2.
SOURCES_1: Final = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("start", pa.float64()),
        pa.field("end", pa.float64()),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("verdict", pa.string()),
        pa.field("carried", pa.string()),
    ]
)

# captions/<name>/<shard>.parquet: one row a keyframe. `shards.media.observations` reads it and that of version 2.
CAPTIONS_1: Final = pa.schema(
    [
        pa.field("root_key", pa.string(), nullable=False),
        pa.field("time", pa.float64(), nullable=False),
        pa.field("caption", pa.string()),
        pa.field("confidence", pa.float32()),
    ]
)

# text/<layer>/<shard>.parquet: it had the columns of a selection.
TEXT_1: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("root_key", pa.string(), nullable=False),
        pa.field("parent_key", pa.string()),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("level", _category, nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("start", pa.float64(), nullable=False),
        pa.field("end", pa.float64(), nullable=False),
        pa.field("offset", pa.float64(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("num_frames", pa.int32(), nullable=False),
        pa.field("fps", pa.float32(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("subtitle", pa.string(), nullable=False),
        pa.field("subtitle_origin", pa.string(), nullable=False),
        pa.field("subtitle_summary", pa.string()),
        pa.field("frame_captions", pa.list_(pa.struct([("time", pa.float64()), ("text", pa.string())]))),
        pa.field("caption", pa.string()),
        pa.field("caption_summary", pa.string()),
        pa.field("grounded_text", pa.string()),
        pa.field("rewrite_status", _category, nullable=False),
        pa.field(
            "claims",
            pa.list_(pa.struct([("text", pa.string()), ("verdict", pa.string()), ("evidence", pa.list_(pa.string()))])),
        ),
        pa.field("grounding_score", pa.float32()),
        pa.field("keep", pa.bool_(), nullable=False),
        pa.field("filter_reason", pa.string()),
        pa.field("split", _category, nullable=False),
        pa.field(
            "models",
            pa.struct(
                [("asr", pa.string()), ("captioner", pa.string()), ("rewriter", pa.string()), ("prompt", pa.string())]
            ),
        ),
    ]
)
