"""The media stage: a shard's sources become tars of root clips and keyframes, a table of clips, and a ledger.

The first stage of a run. Every source of the shard ends in exactly one row of the ledger. The table of clips is
committed last and names the sizes and hashes of the tars: it is the commit mark.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, get_args

import pyarrow as pa

from curation.media.download.downloaded_video import DownloadedVideo
from curation.media.download.downloader import download
from curation.media.download.politeness.host_refusals import HostRefusals
from curation.media.media_rows import LedgerRow, SourceOutcome
from curation.media.media_settings import MediaSettings
from curation.media.shard_builder import ShardBuilder
from curation.media.sidecar_inputs import sidecar_inputs
from curation.media.video_to_clips import VideoTools, make_clips
from curation.sources.ledger import SourceFailed, SourceFiltered, SourcePostponed
from curation.sources.overlapping_spans import overlap_numbers
from curation.sources.source_rows import SOURCES_TABLE, SourceRow, source_rows
from runtime.attempts import DEATHS_ALLOWED, Attempts
from runtime.errors import is_machine_fault, one_line
from runtime.log import get_logger
from runtime.ray_runner.display.progress import report
from runtime.ray_runner.stage import Service, ShardResult
from runtime.retry_limits import DOWNLOAD_STOP_SECONDS
from runtime.stoppable_threads import StoppableThreads
from shards.keys import shard_name
from shards.reader import read_table
from shards.removal.tombstones import REMOVED_CLASS
from shards.schema import FilteredClass
from shards.storage.store import Store
from shards.storage.tar import TarWriter

_log = get_logger(__name__)

_DUPLICATE: Final = "the same video, or the same span of it, is earlier in the list"


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
    run: str = ""
    """Id of the run: refusals of hosts are counted for each run anew."""


def media_worker(spec: MediaWorkerSpec, services: Mapping[str, Service]) -> MediaWorker:
    """Build a media worker in its own process; the punctuation model is loaded here if the settings name one."""
    from curation.engines.models.punctuator import Punctuator

    transcription = spec.settings.video.transcribe
    punctuate = Punctuator(transcription.punctuation) if transcription.punctuation else None
    return MediaWorker(spec, VideoTools(spec.settings.video, services.get("asr"), punctuate))


class _SourceInShard(NamedTuple):
    """A source of the shard with its download."""

    row: SourceRow
    overlap: int
    """Number of the source in the keys of its clips."""
    arrival: Future[DownloadedVideo] | None
    """The download, in progress or done; None if the source was filtered before any work."""
    folder: Path
    """Scratch folder of this source alone."""


class MediaWorker:
    """Makes media shards, one at a time; downloads run ahead of the encoder."""

    def __init__(self, spec: MediaWorkerSpec, tools: VideoTools) -> None:
        self._spec = spec
        self._store = Store(spec.root)
        self._scratch = Path(spec.scratch)
        self._tools = tools
        self._refusals = HostRefusals(
            self._scratch / "refusals" / f"run-{spec.run}", spec.settings.download.postpone_after
        )

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
        sources = _sources_of(self._store, number)
        folder = self._scratch / f"media-{shard_name(number)}"
        attempts = Attempts(self._scratch / "attempts" / shard_name(number))
        beside = sidecar_inputs([row for row, _ in sources], self._spec.settings)  # before any of them is read
        with _empty_folder(folder):
            with TarWriter(folder / "media.tar") as media, TarWriter(folder / "keyframes.tar") as keyframes:
                shard = ShardBuilder(number, media, keyframes)
                with closing(self._downloads(sources, folder)) as downloads:
                    for source in downloads:
                        entry = self._curate(source, shard, attempts)
                        shard.ledger.append(entry)
                        report({"videos": 1, "clips": entry.outcome.clips, **entry.class_count()})
            shard.commit(self._store, folder, self._spec.hash, beside)
        shutil.rmtree(self._scratch / "attempts" / shard_name(number), ignore_errors=True)
        return shard.counts()

    def _downloads(
        self, sources: Sequence[tuple[SourceRow, int]], folder: Path
    ) -> Generator[_SourceInShard, None, None]:
        """Yield each source with its download; at most `downloads_ahead` downloads are started in advance.

        If the generator is closed early, because the machine failed, those in flight are stopped with their processes:
        the shard is not committed, so their sources stay pending.
        """
        ahead = max(self._spec.settings.downloads_ahead, 1)
        pool = StoppableThreads(ahead, "download")
        try:
            started: list[_SourceInShard] = []
            for index in range(len(sources)):
                while len(started) < min(index + ahead, len(sources)):
                    started.append(self._start(pool, *sources[len(started)], folder / f"{len(started):04d}"))
                yield started[index]
        finally:
            pool.stop()
            pool.wait(seconds=DOWNLOAD_STOP_SECONDS.seconds)

    def _start(self, pool: StoppableThreads, row: SourceRow, overlap: int, folder: Path) -> _SourceInShard:
        if row.planned_state is not None:
            return _SourceInShard(row, overlap, None, folder)
        folder.mkdir(parents=True)
        arrival = pool.submit(download, row.source, self._spec.settings.download, folder, self._refusals)
        return _SourceInShard(row, overlap, arrival, folder)

    def _curate(self, source: _SourceInShard, shard: ShardBuilder, attempts: Attempts) -> LedgerRow:
        """Add one source's clips to the shard, and return its row of the ledger."""
        began = time.monotonic()
        try:
            outcome = self._make_clips(source, shard, attempts)
        except SourceFiltered as reason:
            outcome = SourceOutcome("filtered", reason.class_, reason.message)
        except SourceFailed as reason:
            outcome = SourceOutcome("failed", reason.class_, reason.message)
        except SourcePostponed as reason:
            outcome = SourceOutcome("pending", "postponed", reason.message)
        except Exception as error:
            if is_machine_fault(error):
                raise
            _log.exception("source %s", source.row.video_id)
            outcome = SourceOutcome("failed", "internal", one_line(error, named=True))
        finally:
            shutil.rmtree(source.folder, ignore_errors=True)
        return LedgerRow(source.row, outcome, time.monotonic() - began)

    def _make_clips(self, source: _SourceInShard, shard: ShardBuilder, attempts: Attempts) -> SourceOutcome:
        """Make the source's clips and pack them; raises what `make_clips` raises."""
        if source.arrival is None:
            raise _planned_filter(source.row)
        name = _attempt_name(source.row)
        if attempts.deaths(name) >= DEATHS_ALLOWED:
            raise SourceFailed("internal", "this video ended its worker process twice")
        with attempts.attempt(name):
            video = make_clips(source.row, source.arrival.result(), self._tools, source.folder, source.overlap)
        return SourceOutcome("written", seconds=video.seconds, clips=shard.add(video))


@contextmanager
def _empty_folder(folder: Path) -> Iterator[None]:
    """Create an empty folder (a killed worker may have left files), and remove it at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sources_of(store: Store, shard: int) -> list[tuple[SourceRow, int]]:
    """Return the sources of a shard, each with its number among those that overlap it."""
    table = read_table(store, SOURCES_TABLE)
    rows = source_rows(table.filter(pa.compute.equal(table["shard"], shard)))
    videos = pa.array({row.video_id for row in rows}, pa.string())
    numbers = overlap_numbers(source_rows(table.filter(pa.compute.is_in(table["video_id"], value_set=videos))))
    return [(row, numbers.get(row.key, 1)) for row in rows]


def _attempt_name(row: SourceRow) -> str:
    """Return the name of a source's notes: spans of one video have notes of their own."""
    end = "" if row.end is None else f"_{round(row.end * 1000)}"
    return f"{row.video_id}_{round((row.start or 0) * 1000)}{end}"


def _planned_filter(row: SourceRow) -> SourceFiltered:
    """Return why the source was filtered before any work."""
    messages = {"duplicate": _DUPLICATE, "excluded": "named by --exclude", REMOVED_CLASS: "removed on request"}
    for class_ in get_args(FilteredClass):
        if class_ == row.planned_state:
            return SourceFiltered(class_, messages.get(class_, class_))
    raise ValueError(f"sources.parquet: {row.planned_state!r} is not a known value of `verdict`")
