"""All settings of the media stage, and the content hash that they decide."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from curation.media.clips.segment_settings import SegmentSettings
from curation.media.download.download_settings import DownloadSettings
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.speech.sentence_settings import SentenceSettings
from curation.media.speech.transcribe_settings import TranscribeSettings
from runtime import retry_limits
from runtime.language_tags import LanguageCode
from runtime.settings import Runtime, Settings, content_hash

STAGE_VERSION: Final = 2
"""Raised if the stage makes different content from the same settings."""


class VideoSettings(Settings):
    """Settings of cutting one video into clips."""

    min_seconds: float = 3.0
    """Videos (or spans) shorter than this are filtered as `too_short`."""
    max_seconds: float = 4 * 3600.0
    """Videos (or spans) longer than this are filtered as `too_long`."""
    languages: tuple[LanguageCode, ...] = ()
    """ISO 639-1 codes of the speech to keep; other videos are filtered as `language`. Empty: all."""
    keyframes_per_second: float = 0.1
    """Keyframes for the captioner a second of video; each short clip has at least one."""
    transcribe: TranscribeSettings = TranscribeSettings()
    """Settings of transcription."""
    sentences: SentenceSettings = SentenceSettings()
    """Settings of grouping words into sentences."""
    encode: EncodeSettings = EncodeSettings()
    """Settings of the stored video and its stills."""
    segment: SegmentSettings = SegmentSettings()
    """Settings of dividing the video into clip trees."""


class MediaSettings(Settings):
    """All settings of the media stage."""

    download: DownloadSettings = DownloadSettings()
    """Settings of the download."""
    video: VideoSettings = VideoSettings()
    """Settings of cutting each video into clips."""
    downloads_ahead: Runtime[int] = 2
    """Number of downloads in progress while a video of the same shard is encoded."""
    late_after: Runtime[float] = Field(default=retry_limits.DOWNLOAD_LATE_AFTER.seconds, ge=0)
    """Seconds for which a shard with nothing else to do waits for its last downloads. Then it is committed without
    them, and they are tried again in another shard at the end of the run. 0: it waits as long as they take."""
    late_share: Runtime[float] = Field(default=0.1, ge=0, lt=1)
    """Largest share of a shard's sources that may be late; with more, it waits."""

    shared_scratch: Runtime[str | None] = None
    """Absolute path or URL that all nodes reach, where finished videos of unfinished shards are kept too: if a node is
    lost, the others make only the rest. None: they are kept on the node that made them."""

    @field_validator("shared_scratch")
    @classmethod
    def _is_the_same_everywhere(cls, value: str | None) -> str | None:
        if value is not None and not (Path(value).is_absolute() or "://" in value):
            raise ValueError("must be an absolute path or a URL, because every node must reach the same place")
        return value

    def hash(self, asr_revision: str | None, punctuation_revision: str | None) -> str:
        """Return the content hash of the media folder."""
        return content_hash("media", STAGE_VERSION, self.content(), asr_revision, punctuation_revision)
