"""Arrow schemas of every table in a DIR: the contract between curation and training.

Seconds are always of the original video unless a comment says otherwise. The schema metadata of a table holds its
record under ``artifact`` (`shards.artifact.Artifact`).
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import pyarrow as pa

SCHEMA_VERSION: Final = 2
"""Version of the tables that this program writes."""
READ_VERSIONS: Final = (1, 2)
"""Versions that this program reads; `shards.schema_1` has the tables of version 1 that have changed."""

Level = Literal["short", "medium", "long"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)

State = Literal["written", "filtered", "failed", "pending"]
STATES: Final[tuple[State, ...]] = get_args(State)

FilteredClass = Literal[
    "too_short", "too_long", "no_speech_no_frames", "duplicate", "excluded", "language", "removed_on_request"
]
FailedClass = Literal[
    "private",
    "removed",
    "geo_blocked",
    "bot_check",
    "rate_limited",
    "network",
    "not_video",
    "corrupt",
    "internal",
]
PostponedClass = Literal["postponed", "late"]  # the class of a pending source whose shard is committed
FILTERED_CLASSES: Final[tuple[FilteredClass, ...]] = get_args(FilteredClass)
FAILED_CLASSES: Final[tuple[FailedClass, ...]] = get_args(FailedClass)
POSTPONED_CLASSES: Final[tuple[PostponedClass, ...]] = get_args(PostponedClass)

RewriteStatus = Literal["ok", "abstained", "fallback", "failed"]
REWRITE_STATUSES: Final[tuple[RewriteStatus, ...]] = get_args(RewriteStatus)

ObservationKind = Literal["frame", "event", "text", "object"]
OBSERVATION_KINDS: Final[tuple[ObservationKind, ...]] = get_args(ObservationKind)

DuplicateKind = Literal["exact", "perceptual", "semantic"]
DUPLICATE_KINDS: Final[tuple[DuplicateKind, ...]] = get_args(DuplicateKind)
MatchKind = Literal["id", "perceptual", "semantic", "caption"]
MATCH_KINDS: Final[tuple[MatchKind, ...]] = get_args(MatchKind)

_category = pa.dictionary(pa.int8(), pa.string())
_word = pa.struct([("start", pa.float64()), ("end", pa.float64()), ("text", pa.string())])

# sources/<first>-<last>.parquet: one row an attempt at a source, in order of shards.
SOURCES: Final = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),  # the URL or absolute path, as given
        pa.field("video_id", pa.string(), nullable=False),  # 16 hex digits, see shards.keys
        pa.field("start", pa.float64()),  # span asked for; null: from the beginning
        pa.field("end", pa.float64()),  # span asked for; null: to the end
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),  # 1, and one more for each --retry-failed
        pa.field("verdict", pa.string()),  # null, or duplicate, excluded, removed_on_request: needs no work
        pa.field("carried", pa.string()),  # JSON object: the manifest's other columns
        pa.field("overlap", pa.int32(), nullable=False),  # number in keys of clips, see shards.keys.ClipKey
    ]
)

LEDGER: Final = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("start", pa.float64()),
        pa.field("end", pa.float64()),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("state", _category, nullable=False),
        pa.field("class", pa.string()),  # null when written; `postponed` or `late` when pending
        pa.field("message", pa.string()),  # one line for people, without secrets
        pa.field("seconds", pa.float64()),  # length of the span that was read
        pa.field("clips", pa.int32(), nullable=False),
        pa.field("elapsed", pa.float64()),  # wall seconds spent on this source
    ]
)

# The columns that every table of clips begins with.
_CLIP: Final = [
    pa.field("key", pa.string(), nullable=False),
    pa.field("root_key", pa.string(), nullable=False),
    pa.field("parent_key", pa.string()),
    pa.field("video_id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("level", _category, nullable=False),
    pa.field("shard", pa.int32(), nullable=False),
    pa.field("start", pa.float64(), nullable=False),
    pa.field("end", pa.float64(), nullable=False),
    pa.field("offset", pa.float64(), nullable=False),  # seconds from the root's first stored frame
    pa.field("width", pa.int32(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("num_frames", pa.int32(), nullable=False),  # of the stored root
    pa.field("fps", pa.float32(), nullable=False),
    pa.field("language", pa.string()),
    pa.field("subtitle", pa.string(), nullable=False),  # "" without speech
    pa.field("subtitle_origin", pa.string(), nullable=False),
]

# media/<shard>.parquet: one row a clip, in tree order (a parent before its children).
CLIPS: Final = pa.schema(
    [
        *_CLIP,
        pa.field("words", pa.list_(_word)),  # of a root; null for clips below it (same words, by time)
        pa.field("speech_seconds", pa.float32(), nullable=False),  # time covered by words
        pa.field("motion", pa.float32()),  # mean absolute luma difference between frames, 0 to 1
        pa.field("byte_offset", pa.int64(), nullable=False),  # of the root's mp4 in media/<shard>.tar
        pa.field("byte_size", pa.int64(), nullable=False),
    ]
)

# videos/<shard>.parquet: one row a root, with what is known of its video; everything but the key may be null.
VIDEOS: Final = pa.schema(
    [
        pa.field("root_key", pa.string(), nullable=False),
        pa.field("video_title", pa.string()),
        pa.field("video_uploader", pa.string()),
        pa.field("video_uploader_url", pa.string()),
        pa.field("video_license", pa.string()),  # as the site words it
        pa.field("video_upload_date", pa.string()),  # YYYYMMDD
        pa.field("video_url", pa.string()),  # the page, without user, password and tokens
        pa.field("video_site", pa.string()),  # yt-dlp's name of the site
        pa.field("video_site_id", pa.string()),  # the site's id of the video
        pa.field("video_duration", pa.float64()),  # seconds, as the site states them
        pa.field("video_language", pa.string()),
        pa.field("video_description", pa.string()),  # its first 2,000 characters
        pa.field("video_tags", pa.list_(pa.string())),
        pa.field("video_categories", pa.list_(pa.string())),
        pa.field("video_view_count", pa.int64()),
        pa.field("video_age_limit", pa.int64()),  # years
        pa.field("carried", pa.string()),  # JSON object: the manifest's other columns
    ]
)

# captions/<name>/<shard>.parquet: one row for each thing that was observed in a root's pictures.
CAPTIONS: Final = pa.schema(
    [
        pa.field("root_key", pa.string(), nullable=False),
        pa.field("kind", _category, nullable=False),  # frame caption, event, on-screen text, objects
        pa.field("start", pa.float64(), nullable=False),
        pa.field("end", pa.float64(), nullable=False),  # equal to start for what one still shows
        pa.field("text", pa.string()),  # null: not sure enough; without a confidence: the observer failed here
        pa.field("confidence", pa.float32()),
        pa.field("share", pa.float32()),  # of the picture that it covers, 0 to 1; null where unknown
    ]
)

_CLAIM: Final = pa.struct(
    [
        ("text", pa.string()),
        ("verdict", pa.string()),  # supported, unsupported, uncited or unjudged
        ("evidence", pa.list_(pa.string())),
        ("reason", pa.string()),  # one word; null for a supported claim
        ("judge", pa.string()),  # that decided; null if none was asked
        ("score", pa.float32()),  # of that judge, 0 to 1; null if it gave none
    ]
)

_span: Final = [("start", pa.float64()), ("end", pa.float64()), ("text", pa.string())]
_event: Final = pa.struct(_span)
_seen: Final = pa.struct([*_span, ("confidence", pa.float32()), ("share", pa.float32())])

# text/<layer>/<shard>.parquet: one row a clip, with all texts and facts that people and trainers read. It holds nothing
# that chooses clips: that is in a selection.
TEXT: Final = pa.schema(
    [
        *_CLIP,
        pa.field("subtitle_summary", pa.string()),
        pa.field("frame_captions", pa.list_(pa.struct([("time", pa.float64()), ("text", pa.string())]))),
        pa.field("events", pa.list_(_event)),  # in order of time, within the clip
        pa.field("on_screen_text", pa.list_(_seen)),
        pa.field("objects", pa.list_(_seen)),
        pa.field("caption", pa.string()),
        pa.field("caption_summary", pa.string()),
        pa.field("grounded_text", pa.string()),
        pa.field("rewrite_status", _category, nullable=False),
        pa.field("claims", pa.list_(_CLAIM)),
        pa.field("grounding_score", pa.float32()),
        pa.field(
            "models",
            pa.struct(
                [
                    ("asr", pa.string()),
                    ("captioner", pa.string()),
                    ("rewriter", pa.string()),
                    ("prompt", pa.string()),
                ]
            ),
        ),
    ]
)

# selections/<name>.parquet: one row a clip of all shards, in order of shards.
SELECTION: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("keep", pa.bool_(), nullable=False),
        pa.field("filter_reason", pa.string()),  # name of the first filter that does not keep the clip; null if kept
        pa.field("split", _category, nullable=False),  # train or val, by video
    ]
)

# duplicates/<name>.parquet: one row for each clip that is in a group of two or more, in order of shards.
DUPLICATES: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("group", pa.string(), nullable=False),  # key of the clip of the group that stays
        pa.field("kind", _category, nullable=False),  # exact, perceptual or semantic
        pa.field("score", pa.float32()),  # likeness to the clip that stays, 0 to 1; null if it was not measured
        pa.field("keep", pa.bool_(), nullable=False),  # true for the clip that stays
    ]
)

# contamination/<name>.parquet: one row for each match of a clip with an item of a benchmark, in order of shards.
CONTAMINATION: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),  # msrvtt, didemo, …
        pa.field("benchmark_id", pa.string(), nullable=False),  # of the item, in the benchmark's own files
        pa.field("kind", _category, nullable=False),  # id, perceptual, semantic or caption
        pa.field("score", pa.float32()),  # of the match, 0 to 1; null for an id
        pa.field("reason", pa.string()),  # one line for people
    ]
)

# removed.parquet: one row a video that was removed on request. It holds hashes of ids, and neither URL nor title.
REMOVED: Final = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("known_as", pa.list_(pa.string()), nullable=False),  # ids of the same video under other URLs
        pa.field("reason", pa.string(), nullable=False),
        pa.field("removed_at", pa.string(), nullable=False),  # ISO 8601, UTC
        pa.field("sources", pa.int32(), nullable=False),  # its rows in sources/
        pa.field("clips", pa.int32(), nullable=False),
    ]
)

# features/<name>/<shard>.parquet: one row a root; its features are rows `first` to `first + rows` of the .npy there.
FEATURES: Final = pa.schema(
    [
        pa.field("root_key", pa.string(), nullable=False),
        pa.field("first", pa.int64(), nullable=False),
        pa.field("rows", pa.int32(), nullable=False),  # 0 if it failed
        pa.field("times", pa.list_(pa.float32()), nullable=False),  # seconds from the root's first frame, increasing
        pa.field("failed", pa.string()),  # class of the failure; null if there are features
    ]
)

# scores/<name>/<shard>.parquet: one row a clip, in the order of media's rows. These columns come first; one for each
# score follows, null where it could not be computed. Vectors are beside it, in <shard>.<column>.npy.
SCORES: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
    ]
)

# index.parquet: one row a shard.
INDEX: Final = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("roots", pa.int32(), nullable=False),
        pa.field("clips_short", pa.int32(), nullable=False),
        pa.field("clips_medium", pa.int32(), nullable=False),
        pa.field("clips_long", pa.int32(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),  # sum over roots
        pa.field("media_bytes", pa.int64(), nullable=False),
        pa.field("keyframes_bytes", pa.int64(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),  # of the media artifact
    ]
)
