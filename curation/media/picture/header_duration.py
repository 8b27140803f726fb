"""Read the duration of a local video from its header, without decoding anything."""

from __future__ import annotations

from pathlib import Path

import av

from curation.media.picture.video_file import open_unknown_file
from curation.sources.ledger import SourceFailed


def header_duration(path: Path) -> float | None:
    """Return the duration that the header of a local file states, in seconds; None if it states none."""
    try:
        with open_unknown_file(path) as container:
            return None if container.duration is None else container.duration / av.time_base
    except (SourceFailed, av.FFmpegError, OSError):
        return None
