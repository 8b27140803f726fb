"""The select stage: which clips of a text layer to keep, and the split of each, as one table over all shards.

    media/*.parquet + text/<layer>/*.parquet -> selections/<name>.parquet

It calls no model: another threshold is another selection in seconds, over texts of any schema version. Memory does not
grow with the number of clips.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa

from curation.filters.filter_registry import FilterSettings
from curation.selection.clip_marks import MEDIA_COLUMNS, TEXT_COLUMNS, mark_clips, mark_counts
from curation.selection.row_groups import grouped
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.stage_definition import Outputs, StageContext, TableStage, TableWorkerBuild
from curation.stages.whole_table import InputTables, WholeTable
from runtime.ray_runner.stage import Service, ShardResult
from runtime.settings import content_hash
from shards.schema import SELECTION
from shards.selections.selection import STAGE, table_name

SELECT_VERSION: Final = 2


@dataclass(frozen=True)
class SelectWorker:
    """Makes the selection; see `runtime.ray_runner.table_stage.TableWorker`."""

    media: InputTables
    texts: InputTables
    output: WholeTable
    filters: FilterSettings
    val_percent: float

    async def process_all(self, shards: Sequence[int]) -> ShardResult:
        """Mark the clips of all shards and commit the selection."""
        return await self.output.result(asyncio.to_thread(self._make, shards))

    def _make(self, shards: Sequence[int]) -> Mapping[str, float]:
        counts: Counter[str] = Counter()
        inputs = self.media.digests(shards) | self.texts.digests(shards)
        self.output.commit_tables(grouped(self._marks(shards, counts)), inputs, counts)
        return dict(counts)

    def _marks(self, shards: Sequence[int], counts: Counter[str]) -> Iterator[pa.Table]:
        """Yield the marks of each shard, and add its figures to `counts`."""
        texts, media = self.texts.tables(shards, TEXT_COLUMNS), self.media.tables(shards, MEDIA_COLUMNS)
        for text, clips in zip(texts, media, strict=True):
            marks = mark_clips(text, clips, self.filters, self.val_percent)
            counts.update(mark_counts(marks))
            yield marks


def _build(
    media: InputTables,
    texts: InputTables,
    output: WholeTable,
    filters: FilterSettings,
    val_percent: float,
    services: Mapping[str, Service],
) -> SelectWorker:
    return SelectWorker(media, texts, output, filters, val_percent)


def _worker(context: StageContext) -> TableWorkerBuild:
    settings = context.settings
    media, texts = context.inputs("media"), context.inputs("rewrite")
    return partial(_build, media, texts, SELECT.table(context), settings.filters, settings.val_percent)


def _content(settings: PipelineSettings) -> dict[str, Any]:
    return {"filters": settings.filters.content(), "val_percent": settings.val_percent}


def _hash(settings: PipelineSettings, outputs: Outputs) -> str:
    return content_hash(STAGE, SELECT_VERSION, _content(settings))


SELECT = TableStage(
    name=STAGE,
    summary="From texts to the selection: which clips to keep, and their split.",
    reads=("media", "rewrite"),
    schema=SELECTION,
    path=table_name("{selection}"),
    content=_content,
    hash=_hash,
    worker=_worker,
    in_process=True,
)
