"""One shard made by a media worker in this process, without a run around it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from curation.media.media_settings import MediaSettings, VideoSettings
from curation.media.media_stage import MediaWorker, MediaWorkerSpec
from curation.media.speech.transcribe_settings import TranscribeSettings
from curation.media.video_to_clips import VideoTools
from curation.sources.source_rows import SourceRow, source_table
from runtime.ray_runner.stage import ShardResult
from shards.keys import video_id
from shards.manifest import StageMark, write_stage
from shards.reader import read_table
from shards.schema_1 import SOURCES_1
from shards.sources.overlapping_spans import with_overlaps
from shards.sources.part_writer import append_parts
from shards.sources.source_parts import SOURCES_FOLDER
from shards.storage.store import Store

MEDIA_SETTINGS = MediaSettings(video=VideoSettings(transcribe=TranscribeSettings(asr=None)))
"""Settings without speech recognition."""


def source_row(source: Path | str, **values: Any) -> SourceRow:
    """Return the first attempt at a path or URL, in shard 0."""
    return replace(SourceRow(str(source), video_id(str(source)), None, None, 0, 1, None, None), **values)


def curate_shard(
    folder: Path, rows: Sequence[SourceRow], settings: MediaSettings = MEDIA_SETTINGS
) -> tuple[Store, ShardResult]:
    """Write the sources of the DIR ``folder/dir``, and make its shard 0 with ``folder/scratch`` as scratch."""
    store, scratch = Store(folder / "dir"), folder / "scratch"
    scratch.mkdir(exist_ok=True)
    write_sources(store, scratch, rows)
    write_stage(store, "media", StageMark("media", "hash"))
    worker = MediaWorker(MediaWorkerSpec(store.root, str(scratch), settings, "hash"), VideoTools(settings.video))
    return store, asyncio.run(worker.process(0))


def write_sources(store: Store, scratch: Path, rows: Sequence[SourceRow]) -> None:
    """Write the sources of a DIR, in place of those that it has, with the numbers of overlapping spans."""
    numbered = with_overlaps(source_table(rows).select(SOURCES_1.names))
    store.delete_folder(SOURCES_FOLDER)
    append_parts(store, scratch, [numbered.sort_by("shard")])


def ledger(store: Store) -> dict[str, dict[str, Any]]:
    """Return the rows of the ledger of shard 0 by source."""
    return {row["source"]: row for row in read_table(store, "ledger/0000000.parquet").to_pylist()}
