"""Read the duration of a local video from its header, without decoding anything."""

from __future__ import annotations

from pathlib import Path

import av

from curation.media.picture.stated_duration import stated_duration
from curation.media.picture.video_file import open_unknown_file
from curation.sources.ledger import SourceFailed


def header_duration(path: Path) -> float | None:
    """Return the duration that the header of a local file states, in seconds; None if it states none."""
    try:
        with open_unknown_file(path) as container:
            return stated_duration(container, path)
    except (SourceFailed, av.FFmpegError, OSError):
        return None
