"""The media stage: a shard's sources become tars of root clips and keyframes, a table of clips, and a ledger.

The first stage of a run. Every source of the shard ends in exactly one row of the ledger. The table of clips is
committed last and names the sizes and hashes of the tars: it is the commit mark. Until then each finished source is
kept in scratch (`curation.media.in_flight`), so that a worker that takes over the shard makes only the others.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from curation.media.download.downloaded_video import DownloadedVideo
from curation.media.download.politeness.run_visits import run_visits
from curation.media.in_flight.finished_part import FinishedPart
from curation.media.in_flight.kept_download import fetch
from curation.media.in_flight.part_making import PartMaker, opened, outcome_of
from curation.media.in_flight.shard_scratch import ShardScratch
from curation.media.in_flight.shard_sources import SourceInShard, by_video
from curation.media.in_flight.shared_parts import SharedPlace
from curation.media.in_flight.video_arrivals import Patience, arrivals
from curation.media.media_rows import LedgerRow, SourceOutcome
from curation.media.media_settings import MediaSettings
from curation.media.shard_builder import ShardBuilder
from curation.media.sidecar_inputs import input_name, sidecar_inputs
from curation.media.video_to_clips import VideoTools
from curation.sources.source_rows import source_rows
from runtime.attempts import Attempts, SuspectGate
from runtime.errors import MachineError, is_machine_fault, one_line
from runtime.ray_runner.display.progress import report
from runtime.ray_runner.stage import Service, ShardResult
from shards.keys import shard_name
from shards.removal.tombstones import removed_ids
from shards.sources.source_parts import SourceParts
from shards.storage.store import Store
from shards.storage.tar import TarWriter


@dataclass(frozen=True)
class MediaWorkerSpec:
    """Everything that a media worker is built from."""

    root: str
    """Path or URL of the DIR."""
    scratch: str
    """Folder on a local disk for a shard while it is built."""
    settings: MediaSettings
    hash: str
    """Content hash of the media folder."""
    encoders: int = 1
    """Videos that the worker encodes at a time, of all its shards in flight."""
    run: str = ""
    """Id of the run: its workers share a pacer, and refusals of sites are counted for each run anew."""


def media_worker(spec: MediaWorkerSpec, services: Mapping[str, Service]) -> MediaWorker:
    """Build a media worker in its own process; the punctuation model is loaded here if the settings name one."""
    from curation.engines.models.punctuator import Punctuator

    transcription = spec.settings.video.transcribe
    punctuate = Punctuator(transcription.punctuation) if transcription.punctuation else None
    encoders = threading.BoundedSemaphore(spec.encoders)
    return MediaWorker(spec, VideoTools(spec.settings.video, services.get("asr"), punctuate, encoders))


class MediaWorker:
    """Makes media shards, several at a time if asked to; downloads run ahead of the encoders."""

    def __init__(self, spec: MediaWorkerSpec, tools: VideoTools) -> None:
        self._spec = spec
        self._store = Store(spec.root)
        self._scratch = Path(spec.scratch)
        self._tools = tools
        self._visits = run_visits(spec.settings.download, spec.run)
        self._gate = SuspectGate()
        shared = spec.settings.shared_scratch
        self._place = None if shared is None else SharedPlace(shared, spec.root)

    async def process(self, shard: int) -> ShardResult:
        """Make media/<shard>, keyframes/<shard> and ledger/<shard>; see `runtime.ray_runner.stage.Worker`."""
        try:
            counts = await asyncio.to_thread(self._make, shard)
        except Exception as error:
            if not is_machine_fault(error):
                raise
            return ShardResult(fatal=f"media {shard_name(shard)}: {one_line(error)}")
        return ShardResult(counts)

    def _make(self, number: int) -> dict[str, float]:
        scratch = ShardScratch.of(self._scratch, self._spec.hash, number, self._place)
        notes = self._scratch / "attempts" / shard_name(number)
        sources, beside = self._sources(number)
        with scratch.work() as work:
            rows = self._finish(sources, scratch, work, PartMaker(self._tools, Attempts(notes), self._gate))
            shard = _pack(number, sources, rows, scratch, work)
            shard.commit(self._store, work, self._spec.hash, beside)
        scratch.remove()
        shutil.rmtree(notes, ignore_errors=True)
        return {**shard.counts(), **self._visits.traffic.take()}

    def _sources(self, number: int) -> tuple[list[SourceInShard], dict[str, str]]:
        """Return the sources of a shard, and the digests of the subtitle files beside them before any is read."""
        rows = source_rows(SourceParts(self._store).rows_of(number))
        beside = sidecar_inputs(rows, self._spec.settings)
        sources = [
            SourceInShard(position, row, row.overlap, beside.get(input_name(row.source)))
            for position, row in enumerate(rows)
        ]
        return sources, beside

    def _finish(
        self, sources: Sequence[SourceInShard], scratch: ShardScratch, work: Path, maker: PartMaker
    ) -> dict[int, LedgerRow]:
        """Finish the part of every source, and return their rows by position; parts that are there are not made."""
        rows: dict[int, LedgerRow] = {}
        left: list[SourceInShard] = []
        for source in sources:
            part = maker.without_work(source) or scratch.part(source)
            if part is None:
                left.append(source)
            else:
                rows[source.position] = _reported(source, part)
        settings, removed = self._spec.settings, removed_ids(self._store)
        patience = Patience(settings.late_after, int(settings.late_share * len(sources)))
        fetching, ahead = partial(self._fetch, scratch, work), max(settings.downloads_ahead, 1)
        with closing(arrivals(by_video(left), fetching, ahead, patience)) as videos:
            for arrival in videos:
                video = opened(arrival, removed)
                for source in arrival.sources:
                    folder = work / source.name
                    folder.mkdir()
                    part = maker.make(source, video, folder)
                    scratch.keep(source, folder, part)
                    rows[source.position] = _reported(source, part)
                shutil.rmtree(scratch.download(arrival.sources[0]), ignore_errors=True)
        return rows

    def _fetch(self, scratch: ShardScratch, work: Path, source: SourceInShard) -> DownloadedVideo:
        kept = scratch.download(source)
        return fetch(source.row, self._spec.settings.download, work / f"{kept.name}.download", kept, self._visits)


def _reported(source: SourceInShard, part: FinishedPart) -> LedgerRow:
    """Count a finished source for the progress display, and return its row of the ledger."""
    row = LedgerRow(source.row, part.outcome, part.elapsed)
    report({"videos": 1, "clips": row.outcome.clips, **row.class_count()})
    return row


def _pack(
    number: int, sources: Sequence[SourceInShard], rows: Mapping[int, LedgerRow], scratch: ShardScratch, work: Path
) -> ShardBuilder:
    """Pack the clips of all sources into the shard's tars, in the order of the sources whatever order they came in."""
    with TarWriter(work / "media.tar") as media, TarWriter(work / "keyframes.tar") as keyframes:
        shard = ShardBuilder(number, media, keyframes)
        for source in sources:
            row = rows[source.position]
            if row.outcome.state == "written":
                row = replace(row, outcome=_add(shard, source, row.outcome, scratch))
            shard.ledger.append(row)
    return shard


def _add(shard: ShardBuilder, source: SourceInShard, outcome: SourceOutcome, scratch: ShardScratch) -> SourceOutcome:
    part = scratch.part(source)
    if part is None or part.video is None:
        raise MachineError(f"{scratch.folder}: a finished part is gone; keep other programs out of the scratch folder")
    try:
        shard.add(part.video)
    except Exception as error:
        return outcome_of(error, source)
    return outcome
