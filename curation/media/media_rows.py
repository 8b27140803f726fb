"""Typed rows that the media stage writes: clips, the ledger, and the facts stored beside each root clip."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from curation.media.download.downloaded_video import VideoMetadata
from curation.media.speech.transcript import Word
from curation.sources.source_rows import SourceRow
from runtime.text.sound_text import sound_text
from shards.schema import FailedClass, FilteredClass, Level, PostponedClass, State


@dataclass(frozen=True)
class MediaClipRow:
    """One row of ``media/<shard>.parquet`` (`shards.schema.CLIPS`), without the position of its root in the tar."""

    key: str
    root_key: str
    parent_key: str | None
    """None for a root."""
    video_id: str
    source: str
    level: Level
    shard: int
    start: float
    end: float
    offset: float
    """Seconds from the root's first stored frame."""
    width: int
    height: int
    num_frames: int
    """Frames of the stored root."""
    fps: float
    language: str | None
    subtitle: str
    subtitle_origin: str
    words: tuple[Word, ...] | None
    """Words of a root; None for a clip below it, whose words are those of the root within its span."""
    speech_seconds: float
    motion: float

    def table_row(self, byte_offset: int, byte_size: int) -> dict[str, Any]:
        """Return the row as Arrow takes it, with the position of the root's mp4 in the tar."""
        return asdict(self) | {"byte_offset": byte_offset, "byte_size": byte_size}


@dataclass(frozen=True)
class RootFacts:
    """The immutable facts stored as ``<root key>.json`` in the media tar, in this order."""

    key: str
    video_id: str
    source: str
    start: float
    end: float
    first_frame: float
    """Second of the video that the first stored frame shows."""
    width: int
    height: int
    num_frames: int
    fps: float
    language: str | None
    subtitle_origin: str
    shots: tuple[float, ...]
    """Seconds of the video, within the root, at which a new shot begins; its own start is not among them."""
    words: tuple[tuple[float, float, str], ...]
    """Start, end and text of each word."""
    video: VideoMetadata
    carried: Mapping[str, Any]
    """The other columns of the manifest."""


def video_row(facts: RootFacts) -> dict[str, Any]:
    """Return the row of ``videos/<shard>.parquet`` (`shards.schema.VIDEOS`) of one root, as Arrow takes it."""
    video = facts.video
    return {
        "root_key": facts.key,
        "video_title": video.title,
        "video_uploader": video.uploader,
        "video_uploader_url": video.uploader_url,
        "video_license": video.license,
        "video_upload_date": video.upload_date,
        "video_url": video.webpage_url,
        "video_site": video.extractor,
        "video_site_id": video.id,
        "video_duration": video.duration,
        "video_language": video.language,
        "video_description": video.description,
        "video_tags": list(video.tags),
        "video_categories": list(video.categories),
        "video_view_count": video.view_count,
        "video_age_limit": video.age_limit,
        "carried": json.dumps(facts.carried, ensure_ascii=False) if facts.carried else None,
    }


@dataclass(frozen=True)
class SourceOutcome:
    """The state in which one source ended."""

    state: State
    class_: FilteredClass | FailedClass | PostponedClass | None = None
    message: str | None = None
    seconds: float | None = None
    """Length of the span that was read."""
    clips: int = 0


@dataclass(frozen=True)
class LedgerRow:
    """One row of ``ledger/<shard>.parquet`` (`shards.schema.LEDGER`)."""

    source: SourceRow
    outcome: SourceOutcome
    elapsed: float
    """Wall seconds spent on the source."""

    def table_row(self) -> dict[str, Any]:
        """Return the row as Arrow takes it."""
        source, outcome = self.source, self.outcome
        return {
            "source": source.source,
            "video_id": source.video_id,
            "start": source.start,
            "end": source.end,
            "shard": source.shard,
            "attempt": source.attempt,
            "state": outcome.state,
            "class": outcome.class_,
            "message": None if outcome.message is None else sound_text(outcome.message),
            "seconds": outcome.seconds,
            "clips": outcome.clips,
            "elapsed": self.elapsed,
        }

    def class_count(self) -> dict[str, float]:
        """Return a count of one for the class of a source; empty if it was written."""
        outcome = self.outcome
        return {} if outcome.class_ is None else {f"{outcome.state}:{outcome.class_}": 1}
