"""Stages that make valid artifacts without any video: the real reads and writes of a shard, and nothing else.

Each source gives one root of two clips, whose "video" is a few bytes. One root in ten has the bytes of another one, for
`curate dedup --exact`. The media worker reads the sources of its shard as the real one does.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from bench.scale.request_counts import PREFIX, count_requests, requests_within
from curation.media.media_definition import MEDIA
from curation.selection.select_stage import SELECT
from curation.sources.source_rows import SourceRow, source_rows
from curation.stages.shard_table import ShardTable
from curation.stages.stage_definition import Outputs, ShardStage, StageContext, TableStage, WorkerBuild
from curation.stages.stage_result import stage_result
from curation.text.rewrite_stage import REWRITE
from runtime.ray_runner.stage import Service, ShardResult
from shards.keys import clip_key, shard_name
from shards.reader import read_artifact, read_table
from shards.schema import CLIPS, LEDGER, TEXT, VIDEOS
from shards.sources.source_parts import SourceParts
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import Artifact, ShardMedia, commit_shard_media

SECONDS: Final = 30.0
_COPY_EVERY: Final = 10
_WORDS: Final = "some words are said here about what is shown"
_SENTENCE: Final = "a person talks to the camera"


@dataclass(frozen=True)
class SyntheticMedia:
    """Worker of the media stage."""

    root: str
    scratch: str
    hash: str

    async def process(self, shard: int) -> ShardResult:
        """Commit the shard; see `runtime.ray_runner.stage.Worker`."""
        return await stage_result(f"media {shard_name(shard)}", asyncio.to_thread(self._make, shard))

    def _make(self, shard: int) -> dict[str, float]:
        store, folder = Store(self.root), Path(self.scratch) / f"media-{shard_name(shard)}"
        folder.mkdir(parents=True, exist_ok=True)
        with requests_within() as requests:
            counts = self._commit(store, folder, shard, _sources_of(store, shard))
        shutil.rmtree(folder)
        return counts | {f"{PREFIX}{kind}": float(count) for kind, count in requests.items()}

    def _commit(self, store: Store, folder: Path, shard: int, sources: Sequence[SourceRow]) -> dict[str, float]:
        rows: list[dict[str, Any]] = []
        with TarWriter(folder / "media.tar") as media, TarWriter(folder / "keyframes.tar") as keyframes:
            for number, source in enumerate(sources):
                if source.planned_state is None:
                    rows += _pack(source, number, media, keyframes)
        written = sum(source.planned_state is None for source in sources)
        counts = {"videos": len(sources), "clips": len(rows), "seconds": SECONDS * written, "written": written}
        if written < len(sources):
            counts["filtered"] = len(sources) - written
        made = ShardMedia(
            shard,
            media,
            keyframes,
            pa.Table.from_pylist([_ledger_row(source) for source in sources], schema=LEDGER),
            pa.Table.from_pylist(rows, schema=CLIPS),
            pa.Table.from_pylist([_video_row(row) for row in rows if row["parent_key"] is None], schema=VIDEOS),
        )
        commit_shard_media(store, folder, made, Artifact("media", self.hash, counts=counts))
        return {name: float(count) for name, count in counts.items()}


@dataclass(frozen=True)
class SyntheticTexts:
    """Worker of the text stage: one row a clip."""

    output: ShardTable

    async def process(self, shard: int) -> ShardResult:
        """Commit the shard's texts."""
        return await self.output.result(shard, asyncio.to_thread(self._make, shard))

    def _make(self, shard: int) -> dict[str, float]:
        name = f"media/{shard_name(shard)}.parquet"
        with requests_within() as requests:
            digest = read_artifact(self.output.store, name).digest
            rows = [_text_row(clip) for clip in read_table(self.output.store, name).to_pylist()]
            self.output.commit(shard, rows, {name: digest}, {"clips": len(rows)})
        return {"clips": float(len(rows))} | {f"{PREFIX}{kind}": float(count) for kind, count in requests.items()}


def synthetic_stages() -> tuple[ShardStage | TableStage, ...]:
    """Return the stages of a pipeline without models: media, rewrite and select."""
    bare: dict[str, Any] = {
        "service_names": (), "services": lambda settings: {}, "models": lambda settings: {},
        "programs": lambda settings: (),
    }  # fmt: skip
    text: dict[str, Any] = {
        "reads": ("media",), "worker": _text_worker, "hash": _hash, "content": lambda settings: {},
        "engines": lambda settings: {}, "warnings": lambda settings: (), "check": lambda settings: None,
    }  # fmt: skip
    return replace(MEDIA, worker=_media_worker, hash=_hash, **bare), replace(REWRITE, **bare, **text), SELECT


def _hash(settings: object, outputs: Outputs) -> str:
    return "synthetic"


def _media_worker(context: StageContext) -> WorkerBuild:
    return partial(_build_media, SyntheticMedia(context.root, context.scratch, context.outputs["media"].hash))


def _text_worker(context: StageContext) -> WorkerBuild:
    return partial(_build_texts, REWRITE.tables(context))


def _build_media(worker: SyntheticMedia, services: Mapping[str, Service]) -> SyntheticMedia:
    count_requests()
    return worker


def _build_texts(tables: ShardTable, services: Mapping[str, Service]) -> SyntheticTexts:
    count_requests()
    return SyntheticTexts(tables)


def _sources_of(store: Store, shard: int) -> list[SourceRow]:
    """Return the sources of a shard, read as the real media worker reads them."""
    return source_rows(SourceParts(store).rows_of(shard))


def _pack(source: SourceRow, number: int, media: TarWriter, keyframes: TarWriter) -> list[dict[str, Any]]:
    """Add a root with two clips, and return their rows."""
    key, video = clip_key(source.video_id, 0.0, SECONDS), source.video_id
    same = number % _COPY_EVERY == 1
    span = media.add(f"{key}.mp4", (b"a copy" if same else video.encode()) * 4)
    facts = {"key": key, "video_id": video, "source": source.source, "start": 0.0, "end": SECONDS}
    media.add(f"{key}.json", json.dumps(facts).encode())
    for second in (7.5, 22.5):
        keyframes.add(f"{key}.{round(second * 1000)}.jpg", b"no picture")
    shared = {
        "root_key": key, "video_id": video, "source": source.source, "shard": source.shard, "width": 256, "height": 144,
        "num_frames": 240, "fps": 8.0, "language": "en", "subtitle_origin": "auto", "subtitle": _WORDS, "words": None,
        "speech_seconds": 5.0, "motion": 0.1, "byte_offset": span.offset, "byte_size": span.size,
    }  # fmt: skip
    half = SECONDS / 2
    spans = [(0.0, SECONDS, "medium", None), (0.0, half, "short", key), (half, SECONDS, "short", key)]
    return [
        shared
        | {"key": clip_key(video, start, end), "parent_key": parent, "level": level, "start": start, "end": end}
        | {"offset": start}
        for start, end, level, parent in spans
    ]


def _ledger_row(source: SourceRow) -> dict[str, Any]:
    named = {name: getattr(source, name) for name in ("source", "video_id", "start", "end", "shard", "attempt")}
    if source.planned_state is not None:
        return named | {"state": "filtered", "class": source.planned_state, "clips": 0, "elapsed": 0.0}
    return named | {"state": "written", "seconds": SECONDS, "clips": 3, "elapsed": 0.0}


def _video_row(root: Mapping[str, Any]) -> dict[str, Any]:
    return {"root_key": root["key"], "video_title": "a title", "video_license": "Standard licence"}


def _text_row(clip: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: clip[name] for name in TEXT.names if name in clip}
    return kept | {
        "subtitle_summary": _WORDS,
        "frame_captions": [{"time": clip["start"] + 7.5, "text": _SENTENCE}],
        "caption": _SENTENCE,
        "caption_summary": _SENTENCE,
        "grounded_text": _SENTENCE,
        "rewrite_status": "ok",
        "grounding_score": 1.0,
    }
