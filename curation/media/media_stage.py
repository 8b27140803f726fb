"""The media stage: a shard's sources become tars of root clips and keyframes, a table of clips, a ledger.

The first box of the flow. Every source of the shard ends in exactly one row of the ledger; the table of clips is
committed last and names the tars' sizes and hashes: it is the commit mark.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from curation.media.download.downloader import Download, DownloadSettings, download
from curation.media.video_to_clips import Tools, VideoClips, VideoSettings, make_clips
from curation.sources.ledger import SourceFailed, SourceFiltered
from curation.sources.source_rows import SourceRow, source_rows
from runtime.attempts import DEATHS_ALLOWED, Attempts
from runtime.errors import is_machine_fault, one_line
from runtime.log import get_logger
from runtime.ray_runner.progress import report
from runtime.ray_runner.stage import Service, ShardResult
from runtime.settings import Runtime, Settings, content_hash
from shards.keys import shard_name
from shards.reader import read_table
from shards.schema import CLIPS, LEDGER, FilteredClass, State
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import Artifact, commit_shard_media

STAGE_VERSION = 1
_log = get_logger(__name__)


class MediaSettings(Settings):
    """All settings of the media stage."""

    download: DownloadSettings = DownloadSettings()
    """How sources are fetched."""
    video: VideoSettings = VideoSettings()
    """What is made of each."""
    downloads_ahead: Runtime[int] = 2
    """Downloads under way while a video is encoded."""

    def hash(self, asr_revision: str | None, punctuation_revision: str | None) -> str:
        """Content hash of the media folder."""
        return content_hash("media", STAGE_VERSION, self.content(), asr_revision, punctuation_revision)


@dataclass
class _Shard:
    """A shard under construction in scratch."""

    number: int
    media: TarWriter
    keyframes: TarWriter
    clips: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, video: VideoClips) -> int:
        """Pack one video's roots; the number of clips."""
        before = len(self.clips)
        for root in video.roots:
            span = self.media.add(f"{root.key}.mp4", root.mp4)
            self.media.add(f"{root.key}.json", json.dumps(root.facts, ensure_ascii=False).encode())
            for still in root.keyframes:
                self.keyframes.add(f"{root.key}.{round(still.time * 1000)}.jpg", still.path)
            self.clips += [row | {"byte_offset": span.offset, "byte_size": span.size} for row in root.rows]
        self.seconds += video.seconds
        return len(self.clips) - before


@dataclass(frozen=True)
class _End:
    """How one source ended."""

    state: State
    class_: str | None = None
    message: str | None = None
    seconds: float | None = None
    clips: int = 0


class MediaWorker:
    """Makes media shards, one at a time; downloads run ahead of the encoder."""

    def __init__(self, store: Store, scratch: Path, settings: MediaSettings, tools: Tools, hash_: str) -> None:
        self._store = store
        self._scratch = scratch
        self._settings = settings
        self._tools = tools
        self._hash = hash_

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
        rows = _sources_of(self._store, number)
        folder = self._scratch / f"media-{shard_name(number)}"
        attempts = Attempts(self._scratch / "attempts" / shard_name(number))
        with _empty_folder(folder):
            with TarWriter(folder / "media.tar") as media, TarWriter(folder / "keyframes.tar") as keyframes:
                shard = _Shard(number, media, keyframes)
                for row, arrival, place in self._downloads(rows, folder):
                    outcome = self._one(row, arrival, place, shard, attempts)
                    shard.ledger.append(outcome)
                    report({"videos": 1, "clips": outcome["clips"], **_failure(outcome)})
            self._commit(shard, folder)
        shutil.rmtree(self._scratch / "attempts" / shard_name(number), ignore_errors=True)
        return _counts(shard)

    def _downloads(
        self, rows: Sequence[SourceRow], folder: Path
    ) -> Iterator[tuple[SourceRow, Future[Download] | None, Path]]:
        """Each source with its download (under way or done); at most `downloads_ahead` run before their turn."""
        ahead = max(self._settings.downloads_ahead, 1)
        with ThreadPoolExecutor(ahead, thread_name_prefix="download") as pool:
            started: list[Future[Download] | None] = []
            for index, row in enumerate(rows):
                while len(started) < min(index + ahead, len(rows)):
                    started.append(self._start(pool, rows[len(started)], folder / f"{len(started):04d}"))
                yield row, started[index], folder / f"{index:04d}"

    def _start(self, pool: ThreadPoolExecutor, row: SourceRow, place: Path) -> Future[Download] | None:
        if row.planned_state is not None:
            return None
        place.mkdir(parents=True)
        return pool.submit(download, row.source, self._settings.download, place)

    def _one(
        self, row: SourceRow, arrival: Future[Download] | None, place: Path, shard: _Shard, attempts: Attempts
    ) -> dict[str, Any]:
        """Curate one source into the shard; its row of the ledger."""
        began = time.monotonic()
        try:
            end = self._curated(row, arrival, place, shard, attempts)
        except SourceFiltered as reason:
            end = _End("filtered", reason.class_, reason.message)
        except SourceFailed as reason:
            end = _End("failed", reason.class_, reason.message)
        except Exception as error:
            if is_machine_fault(error):
                raise
            _log.exception("source %s", row.video_id)
            end = _End("failed", "internal", one_line(error, named=True))
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return _ledger_row(row, end, time.monotonic() - began)

    def _curated(
        self, row: SourceRow, arrival: Future[Download] | None, place: Path, shard: _Shard, attempts: Attempts
    ) -> _End:
        """Make the source's clips and pack them; raises what `make_clips` raises."""
        if arrival is None:
            raise _verdict(row)
        note = _note_name(row)
        if attempts.deaths(note) >= DEATHS_ALLOWED:
            raise SourceFailed("internal", "this video ended its worker process twice")
        with attempts.alive(note):
            video = make_clips(row, arrival.result(), self._tools, place)
        return _End("written", seconds=video.seconds, clips=shard.add(video))

    def _commit(self, shard: _Shard, folder: Path) -> None:
        clips = pa.Table.from_pylist(shard.clips, schema=CLIPS)
        ledger = pa.Table.from_pylist(shard.ledger, schema=LEDGER)
        artifact = Artifact("media", self._hash, counts=_counts(shard))
        commit_shard_media(self._store, folder, shard.number, shard.media, shard.keyframes, ledger, clips, artifact)


def media_worker(
    root: str, scratch: str, settings: MediaSettings, hash_: str, services: Mapping[str, Service]
) -> MediaWorker:
    """Build a worker inside its own process: the punctuation model, where one is named, is loaded here."""
    from curation.engines.punctuator import Punctuator

    transcription = settings.video.transcribe
    punctuate = Punctuator(transcription.punctuation) if transcription.punctuation else None
    tools = Tools(settings.video, services.get("asr"), punctuate)
    return MediaWorker(Store(root), Path(scratch), settings, tools, hash_)


@contextmanager
def _empty_folder(folder: Path) -> Iterator[None]:
    """A folder that is empty at the start (a killed worker may have left things) and gone at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sources_of(store: Store, shard: int) -> list[SourceRow]:
    table = read_table(store, "sources.parquet")
    mine = table.filter(pa.compute.equal(table["shard"], shard))
    return source_rows(mine)


def _note_name(row: SourceRow) -> str:
    return f"{row.video_id}_{round((row.start or 0) * 1000)}"


def _verdict(row: SourceRow) -> SourceFiltered:
    """What was decided of this source before any work."""
    words = {"duplicate": "the same video stands earlier in the list", "excluded": "named by --exclude"}
    for class_ in get_args(FilteredClass):
        if class_ == row.planned_state:
            return SourceFiltered(class_, words.get(class_, class_))
    raise ValueError(f"sources.parquet: {row.planned_state!r} is no verdict")


def _ledger_row(row: SourceRow, end: _End, elapsed: float) -> dict[str, Any]:
    return {
        "source": row.source,
        "video_id": row.video_id,
        "start": row.start,
        "end": row.end,
        "shard": row.shard,
        "attempt": row.attempt,
        "state": end.state,
        "class": end.class_,
        "message": end.message,
        "seconds": end.seconds,
        "clips": end.clips,
        "elapsed": elapsed,
    }


def _failure(outcome: Mapping[str, Any]) -> dict[str, float]:
    return {} if outcome["class"] is None else {f"{outcome['state']}:{outcome['class']}": 1}


def _counts(shard: _Shard) -> dict[str, float]:
    counts: dict[str, float] = {"videos": len(shard.ledger), "clips": len(shard.clips), "seconds": shard.seconds}
    for outcome in shard.ledger:
        counts[outcome["state"]] = counts.get(outcome["state"], 0) + 1
        for name, value in _failure(outcome).items():
            counts[name] = counts.get(name, 0) + value
    return counts
