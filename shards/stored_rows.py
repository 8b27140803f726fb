"""Rows of the tables of a DIR as plain Python values (`pyarrow.Table.to_pylist`), one type a schema.

`shards.schema` says what each column means. Readers get what is on disk, so a value may break the contract;
`shards.checks` looks for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict


class StoredSource(TypedDict):
    """A row of ``sources/`` (`shards.schema.SOURCES`)."""

    source: str
    video_id: str
    start: float | None
    end: float | None
    shard: int
    attempt: int
    verdict: str | None
    carried: str | None
    overlap: int


# A functional type: `class` is a column and no identifier.
StoredOutcome = TypedDict(
    "StoredOutcome",
    {
        "source": str,
        "video_id": str,
        "start": float | None,
        "end": float | None,
        "shard": int,
        "attempt": int,
        "state": str,
        "class": str | None,
        "message": str | None,
        "seconds": float | None,
        "clips": int,
        "elapsed": float | None,
    },
)
"""A row of ``ledger/<shard>.parquet`` (`shards.schema.LEDGER`)."""


class StoredWord(TypedDict):
    """A word of a root clip."""

    start: float
    end: float
    text: str


class StoredVideo(TypedDict):
    """A row of ``videos/<shard>.parquet`` (`shards.schema.VIDEOS`) without its key."""

    video_title: str | None
    video_uploader: str | None
    video_uploader_url: str | None
    video_license: str | None
    video_upload_date: str | None
    video_url: str | None
    video_site: str | None
    video_site_id: str | None
    video_duration: float | None
    video_language: str | None
    video_description: str | None
    video_tags: list[str] | None
    video_categories: list[str] | None
    video_view_count: int | None
    video_age_limit: int | None
    carried: str | None


class _ClipColumns(TypedDict):
    """The columns that every table of clips begins with."""

    key: str
    root_key: str
    parent_key: str | None
    video_id: str
    source: str
    level: str
    shard: int
    start: float
    end: float
    offset: float
    width: int
    height: int
    num_frames: int
    fps: float
    language: str | None
    subtitle: str
    subtitle_origin: str


class StoredClip(_ClipColumns):
    """A row of ``media/<shard>.parquet`` (`shards.schema.CLIPS`)."""

    words: list[StoredWord] | None
    speech_seconds: float
    motion: float | None
    byte_offset: int
    byte_size: int


class StoredFrameCaption(TypedDict):
    """A frame caption of a clip in a text layer."""

    time: float
    text: str


class StoredEvent(TypedDict):
    """An event of a clip, with its start and end."""

    start: float
    end: float
    text: str


class StoredSight(StoredEvent):
    """A text that a clip shows, or its objects with their number."""

    confidence: float | None
    share: float | None


class StoredClaim(TypedDict):
    """A claim of a grounded text."""

    text: str
    verdict: str
    evidence: list[str]
    reason: NotRequired[str | None]
    """Not in layers of schema version 1, as the next two."""
    judge: NotRequired[str | None]
    score: NotRequired[float | None]


class StoredModels(TypedDict):
    """The models and the prompt behind a clip's texts."""

    asr: str | None
    captioner: str | None
    rewriter: str | None
    prompt: str | None


class StoredText(_ClipColumns):
    """A row of ``text/<layer>/<shard>.parquet`` (`shards.schema.TEXT`)."""

    subtitle_summary: str | None
    frame_captions: list[StoredFrameCaption] | None
    events: NotRequired[list[StoredEvent] | None]  # from schema version 2 on, as the next two
    on_screen_text: NotRequired[list[StoredSight] | None]
    objects: NotRequired[list[StoredSight] | None]
    caption: str | None
    caption_summary: str | None
    grounded_text: str | None
    rewrite_status: str
    claims: list[StoredClaim] | None
    grounding_score: float | None
    models: StoredModels | None


class StoredMarks(TypedDict):
    """The columns by which a selection chooses clips."""

    keep: bool
    filter_reason: str | None
    split: str


class StoredSelection(StoredMarks):
    """A row of ``selections/<name>.parquet`` (`shards.schema.SELECTION`)."""

    key: str
    shard: int


class MarkedText(StoredText, StoredMarks):
    """A row of a text layer with the marks of a selection."""


class StoredObservation(TypedDict):
    """A row of ``captions/<name>/<shard>.parquet`` (`shards.schema.CAPTIONS`)."""

    root_key: str
    kind: str
    start: float
    end: float
    text: str | None
    confidence: float | None
    share: float | None


class StoredFeatures(TypedDict):
    """A row of ``features/<name>/<shard>.parquet`` (`shards.schema.FEATURES`)."""

    root_key: str
    first: int
    rows: int
    times: list[float]
    failed: str | None


@dataclass(frozen=True)
class IndexRow:
    """A row of ``index.parquet`` (`shards.schema.INDEX`): one committed shard."""

    shard: int
    roots: int
    clips_short: int
    clips_medium: int
    clips_long: int
    seconds: float
    """Sum of the roots' lengths."""
    media_bytes: int
    keyframes_bytes: int
    digest: str
    """Digest of the media artifact."""
