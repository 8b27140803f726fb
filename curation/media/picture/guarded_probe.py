"""Probe video files in a helper process, because one can take any time and memory, or crash libav.

`curation.media.picture.probe` and `curation.media.picture.header_duration` do the work.
"""

from __future__ import annotations

from pathlib import Path

from curation.media.picture.header_duration import header_duration
from curation.media.picture.probe import probe
from curation.media.picture.video_records import Probe
from curation.sources.ledger import SourceFailed
from runtime.children.helper_process import HelperFailed, call_in_helper
from runtime.retry_limits import PROBE_SECONDS


def guarded_probe(path: Path) -> Probe:
    """Return `probe(path)`.

    Raises:
        SourceFailed: as `probe` does; ``internal`` if it takes too long or too much memory, or crashes.
    """
    try:
        return call_in_helper(PROBE_SECONDS.seconds, probe, path)
    except HelperFailed as error:
        raise SourceFailed("internal", f"probing the file {error}") from None


def guarded_header_duration(path: Path) -> float | None:
    """Return `header_duration(path)`; None also if the file exceeds the limits."""
    try:
        return call_in_helper(PROBE_SECONDS.seconds, header_duration, path)
    except HelperFailed:
        return None
