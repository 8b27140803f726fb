"""Make the part of one source of a shard, however the source ends: written, filtered, failed or postponed."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import Future
from pathlib import Path

from curation.media.download.removed_videos import refuse_removed
from curation.media.in_flight.finished_part import FinishedPart
from curation.media.in_flight.shard_sources import SourceInShard
from curation.media.in_flight.video_arrivals import Arrival
from curation.media.media_rows import SourceOutcome
from curation.media.picture.guarded_probe import guarded_probe
from curation.media.video_to_clips import OpenedVideo, VideoClips, VideoTools, make_clips
from curation.sources.ledger import SourceFailed, SourceFiltered, SourcePostponed
from runtime.attempts import DEATHS_ALLOWED, Attempts, SuspectGate
from runtime.errors import is_machine_fault, one_line
from runtime.log import get_logger

_log = get_logger(__name__)


def opened(arrival: Arrival, removed: Collection[str]) -> Future[OpenedVideo]:
    """Probe a video once for all of its sources; the result is the video, or why it can't be used.

    Args:
        arrival: its download.
        removed: ids of videos that were removed on request (`shards.removal.tombstones.removed_ids`).
    """
    video: Future[OpenedVideo] = Future()
    try:
        if arrival.download is None:
            raise SourcePostponed("its download was late (media.late_after)", "late")
        download = arrival.download.result()
        refuse_removed(download, removed)
        video.set_result(OpenedVideo(download, guarded_probe(download.path)))
    except Exception as error:
        video.set_exception(error)
    return video


class PartMaker:
    """Makes the parts of one shard."""

    def __init__(self, tools: VideoTools, attempts: Attempts, gate: SuspectGate) -> None:
        self._tools = tools
        self._attempts = attempts
        self._gate = gate

    def without_work(self, source: SourceInShard) -> FinishedPart | None:
        """Return the part of a source that needs no work, or whose video has killed workers; None for all others."""
        reason: SourceFiltered | SourceFailed | None = source.planned_filter
        if reason is None and self._attempts.deaths(source.note) >= DEATHS_ALLOWED:
            reason = SourceFailed("internal", "this video ended its worker process twice")
        return None if reason is None else FinishedPart(outcome_of(reason, source), 0.0)

    def make(self, source: SourceInShard, video: Future[OpenedVideo], folder: Path) -> FinishedPart:
        """Make the part of a source in an existing folder.

        Raises:
            Exception: a fault of the machine.
        """
        began, clips = time.monotonic(), None
        try:
            clips = self._clips(source, video.result(), folder)
            number = sum(len(root.rows) for root in clips.roots)
            outcome = SourceOutcome("written", seconds=clips.seconds, clips=number)
        except Exception as error:
            outcome = outcome_of(error, source)
        return FinishedPart(outcome, time.monotonic() - began, clips)

    def _clips(self, source: SourceInShard, video: OpenedVideo, folder: Path) -> VideoClips:
        is_suspect = self._attempts.deaths(source.note) > 0
        with self._gate.entered(alone=is_suspect), self._attempts.attempt(source.note):
            return make_clips(source.row, video, self._tools, folder, source.overlap)


def outcome_of(error: Exception, source: SourceInShard) -> SourceOutcome:
    """Return the outcome of a source whose work ended with an error.

    Raises:
        Exception: the error, if it is a fault of the machine.
    """
    if isinstance(error, SourceFiltered):
        return SourceOutcome("filtered", error.class_, error.message)
    if isinstance(error, SourceFailed):
        return SourceOutcome("failed", error.class_, error.message)
    if isinstance(error, SourcePostponed):
        return SourceOutcome("pending", error.class_, error.message)
    if is_machine_fault(error):
        raise error
    _log.error("source %s", source.row.video_id, exc_info=error)
    return SourceOutcome("failed", "internal", one_line(error, named=True))
