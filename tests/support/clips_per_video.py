"""A stage over all shards that is small and real: the number of clips of each video, over all text tables."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.stage_definition import Outputs, StageContext, TableStage, TableWorkerBuild
from curation.stages.whole_table import InputTables, WholeTable
from runtime.ray_runner.stage import Service, ShardResult
from runtime.settings import Settings, content_hash

STAGE_VERSION = 1
SCHEMA = pa.schema([pa.field("video_id", pa.string(), nullable=False), pa.field("clips", pa.int32(), nullable=False)])


class ClipsPerVideoSettings(Settings):
    """Settings of the stage."""

    least: int = 1
    """Videos with fewer clips are left out."""


@dataclass(frozen=True)
class ClipsPerVideoWorker:
    """Counts the clips of each video; see `runtime.ray_runner.table_stage.TableWorker`."""

    texts: InputTables
    output: WholeTable
    settings: ClipsPerVideoSettings

    async def process_all(self, shards: Sequence[int]) -> ShardResult:
        """Make the table."""
        return ShardResult(await asyncio.to_thread(self._make, shards))

    def _make(self, shards: Sequence[int]) -> Mapping[str, float]:
        clips = Counter(
            video for table in self.texts.tables(shards, ["video_id"]) for video in table["video_id"].to_pylist()
        )
        rows = [
            {"video_id": video, "clips": count}
            for video, count in sorted(clips.items())
            if count >= self.settings.least
        ]
        counts = {"videos": float(len(rows))}
        self.output.commit(rows, self.texts.digests(shards), counts)
        return counts


def build_worker(
    texts: InputTables, output: WholeTable, settings: ClipsPerVideoSettings, services: Mapping[str, Service]
) -> ClipsPerVideoWorker:
    """Build the worker in its own process."""
    return ClipsPerVideoWorker(texts, output, settings)


def _hash(settings: PipelineSettings, outputs: Outputs) -> str:
    own = settings.branch(ClipsPerVideoSettings)
    return content_hash("clips_per_video", STAGE_VERSION, own.content(), outputs["rewrite"].hash)


def _worker(context: StageContext) -> TableWorkerBuild:
    settings = context.settings.branch(ClipsPerVideoSettings)
    return partial(build_worker, context.inputs("rewrite"), CLIPS_PER_VIDEO.table(context), settings)


CLIPS_PER_VIDEO = TableStage(
    name="clips_per_video",
    summary="From texts to the number of clips of each video.",
    settings=ClipsPerVideoSettings,
    reads=("rewrite",),
    schema=SCHEMA,
    path="selections/clips_per_video.parquet",
    content=lambda settings: settings.branch(ClipsPerVideoSettings).content(),
    hash=_hash,
    worker=_worker,
)
