"""A worker with several shards in flight encodes only as many videos at a time as it has cores."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.broken_videos import path_of
from support.media_shards import MEDIA_SETTINGS, source_row, write_sources

from curation.media import video_to_clips
from curation.media.media_stage import MediaWorkerSpec, media_worker
from shards.checks.check_dir import check
from shards.manifest import StageMark, write_stage
from shards.reader import read_table
from shards.storage.store import Store

pytestmark = pytest.mark.slow


def test_shards_in_flight_share_the_encoders_of_their_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, scratch = Store(tmp_path / "dir"), tmp_path / "scratch"
    scratch.mkdir()
    rows = [replace(source_row(path_of("good"), start=0.0, end=3.0 + shard / 4), shard=shard) for shard in range(3)]
    write_sources(store, scratch, rows)
    write_stage(store, "media", StageMark("media", "hash"))
    encode, lock = video_to_clips.encode, threading.Lock()
    running, most = 0, 0

    def counted(*args: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return encode(*args)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(video_to_clips, "encode", counted)
    worker = media_worker(MediaWorkerSpec(store.root, str(scratch), MEDIA_SETTINGS, "hash", encoders=2), {})

    async def together() -> list[Any]:
        return await asyncio.gather(*(worker.process(shard) for shard in range(3)))

    results = asyncio.run(together())
    assert [result.counts["written"] for result in results] == [1, 1, 1]
    assert most == 2
    assert [read_table(store, f"media/{shard:07d}.parquet")["shard"].to_pylist()[0] for shard in range(3)] == [0, 1, 2]
    assert [p for p in check(store) if p.where.startswith(("media", "keyframes", "ledger"))] == []
    assert [path for path in scratch.rglob("*") if path.is_file()] == []
