"""The caption stage: the keyframes of a shard in, one caption set table out.

    keyframes/<shard>.tar -> captions/<name>/<shard>.parquet

It follows the media stage and precedes the rewrite stage. A keyframe that can't be captioned becomes a null and a
count; only faults of the machine end the run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, get_args

from curation.captions.caption_rows import caption_row, parse_keyframe_name
from curation.captions.caption_settings import CaptionSettings
from curation.captions.vlm_captioner import VlmCaptioner
from curation.engines.engine_interface import Captioner, CaptionResult, ImageRef
from curation.engines.engine_settings import EngineSettings
from curation.prompts.answer_flaws import Flaw
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.shard_table import ShardTable
from curation.stages.stage_definition import Outputs, ShardStage, StageContext, WorkerBuild
from runtime.models.model_uri import revision_of
from runtime.ray_runner.stage import Service, ShardResult
from runtime.settings import content_hash
from shards.keys import shard_name
from shards.reader import read_artifact
from shards.schema import CAPTIONS
from shards.storage.tar import members

CAPTION_VERSION = 2


def caption_hash(settings: CaptionSettings, engines: Mapping[str, EngineSettings]) -> str:
    """Return the content hash of a caption set: stage version, settings, and the captioner with its revision."""
    model = revision_of(settings.tagger.model) if settings.engine is None else engines[settings.engine].identity()
    return content_hash("caption", CAPTION_VERSION, settings.content(), model)


def caption_worker(output: ShardTable, settings: CaptionSettings, services: Mapping[str, Service]) -> CaptionWorker:
    """Build a caption worker in its own process; the embedded tagger is loaded here if the settings use it."""
    if settings.engine is not None:
        return CaptionWorker(output, VlmCaptioner(services[settings.engine], settings))
    from curation.captions.image_tagger import ImageTagger

    return CaptionWorker(output, ImageTagger(settings.tagger))


class CaptionWorker:
    """Captions the keyframes of a shard; see `runtime.ray_runner.stage.Worker`."""

    def __init__(self, output: ShardTable, captioner: Captioner) -> None:
        self._output = output
        self._captioner = captioner

    async def process(self, shard: int) -> ShardResult:
        """Make the shard's table of the caption set: one row for each keyframe, in order of root and time."""
        return await self._output.result(shard, self._make(shard))

    async def _make(self, shard: int) -> Mapping[str, float]:
        media = f"media/{shard_name(shard)}.parquet"
        digest, images = await asyncio.to_thread(self._read, media, shard)
        results = await self._captioner.caption(images)
        rows = [caption_row(name, results.get(name) or CaptionResult(None, error="no answer")) for name in images]
        counts = _counts(results.values(), len(rows))
        await asyncio.to_thread(self._output.commit, shard, rows, {media: digest}, counts)
        return counts

    def _read(self, media: str, shard: int) -> tuple[str, dict[str, ImageRef]]:
        """Return the digest of the media artifact, and its keyframes by name in order of root and time."""
        store = self._output.store
        artifact = read_artifact(store, media)
        name = f"keyframes/{shard_name(shard)}.tar"
        url = store.path(name)
        images = {member.name: ImageRef(url, member.offset, member.size) for member in members(store, name)}
        in_order = sorted((name for name in images if name.endswith(".jpg")), key=parse_keyframe_name)
        return artifact.digest, {name: images[name] for name in in_order}


def _counts(results: Iterable[CaptionResult], keyframes: int) -> dict[str, float]:
    results = tuple(results)
    counts = Counter(f"captions_{result.error}" for result in results if result.error in get_args(Flaw))
    counts["captions_cut"] = sum(result.is_cut for result in results)
    counts["failed:caption"] = sum(result.error is not None for result in results)
    figures = {"keyframes": float(keyframes), "tokens": float(sum(result.tokens for result in results))}
    return figures | {name: float(count) for name, count in counts.items() if count}


def _content(settings: PipelineSettings) -> dict[str, Any]:
    return settings.branch(CaptionSettings).content() | {"engines": settings.engines_content()}


def _hash(settings: PipelineSettings, outputs: Outputs) -> str:
    return caption_hash(settings.branch(CaptionSettings), settings.engines)


def _worker(context: StageContext) -> WorkerBuild:
    return partial(caption_worker, CAPTION.tables(context), context.settings.branch(CaptionSettings))


def _models(settings: PipelineSettings) -> Mapping[str, str]:
    caption = settings.branch(CaptionSettings)
    return {"caption": caption.tagger.model} if caption.engine is None else {}


def _engines(settings: PipelineSettings) -> Mapping[str, str]:
    engine = settings.branch(CaptionSettings).engine
    return {} if engine is None else {"caption.engine": engine}


CAPTION = ShardStage(
    name="caption",
    summary="From keyframes to frame captions.",
    settings=CaptionSettings,
    reads=("media",),
    schema=CAPTIONS,
    path="captions",
    kind="set",
    content=_content,
    hash=_hash,
    worker=_worker,
    engines=_engines,
    models=_models,
)
