"""The caption stage: the pictures of a shard in, one table of a caption set out.

    keyframes/<shard>.tar + media/<shard>.tar -> captions/<name>/<shard>.parquet

It follows the media stage and precedes the rewrite stage. Its observers (`curation.captions.observer_registry`) look at
stills and videos; what one of them can't see becomes a null and a count. Only faults of the machine end the run.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from curation.captions.keyframe_images import keyframe_images
from curation.captions.observer import Observer, ObserverKind, ShardPictures
from curation.captions.observer_registry import OBSERVER_KINDS, CaptionSettings, build_observers, used_observers
from curation.engines.engine_settings import EngineSettings
from curation.stages.pictures_per_prompt import check_pictures
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.shard_table import ShardTable
from curation.stages.stage_definition import Outputs, ShardStage, StageContext, WorkerBuild
from runtime.models.model_uri import revision_of
from runtime.ray_runner.stage import Service, ShardResult
from runtime.settings import Settings, content_hash
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.schema import CAPTIONS

CAPTION_VERSION = 2


def caption_hash(settings: CaptionSettings, engines: Mapping[str, EngineSettings]) -> str:
    """Return the content hash of a caption set: stage version, settings, and each observer's model with its revision.

    It changes with an observer's settings only if that observer is in use.
    """
    models = {kind.branch: _identity(kind, values, engines) for kind, values in used_observers(settings)}
    frames = models.pop("")
    return content_hash("caption", CAPTION_VERSION, settings.content(), frames, *([models] if models else []))


def _identity(kind: ObserverKind, settings: Settings, engines: Mapping[str, EngineSettings]) -> Any:
    engine, model = kind.engine(settings), kind.model(settings)
    if engine is not None:
        return engines[engine].identity()
    return None if model is None else revision_of(model)


def caption_worker(output: ShardTable, settings: CaptionSettings, services: Mapping[str, Service]) -> CaptionWorker:
    """Build a caption worker in its own process; the observers' own models are loaded here."""
    return CaptionWorker(output, build_observers(settings, services))


class CaptionWorker:
    """Observes the pictures of a shard; see `runtime.ray_runner.stage.Worker`."""

    def __init__(self, output: ShardTable, observers: Sequence[Observer]) -> None:
        self._output = output
        self._observers = observers

    async def process(self, shard: int) -> ShardResult:
        """Make the shard's table of the caption set: one row for each observation, by observer, root and time."""
        return await self._output.result(shard, self._make(shard))

    async def _make(self, shard: int) -> Mapping[str, float]:
        media = f"media/{shard_name(shard)}.parquet"
        digest, pictures = await asyncio.to_thread(self._read, media, shard)
        counts: Counter[str] = Counter()
        made = await asyncio.gather(*(observer.observe(pictures, counts) for observer in self._observers))
        rows = [asdict(observation) for observations in made for observation in observations]
        figures = {"keyframes": 0.0, "tokens": 0.0} | {name: float(count) for name, count in counts.items() if count}
        await asyncio.to_thread(self._output.commit, shard, rows, {media: digest}, figures)
        return figures

    def _read(self, media: str, shard: int) -> tuple[str, ShardPictures]:
        """Return the digest of the media artifact, and the shard's pictures."""
        store = self._output.store
        artifact = read_artifact(store, media)
        stills, clips = keyframe_images(store, shard), read_table(store, media).to_pylist()
        return artifact.digest, ShardPictures(store, stills, clips, f"media/{shard_name(shard)}.tar")


def _content(settings: PipelineSettings) -> dict[str, Any]:
    return settings.branch(CaptionSettings).content() | {"engines": settings.engines_content()}


def _hash(settings: PipelineSettings, outputs: Outputs) -> str:
    return caption_hash(settings.branch(CaptionSettings), settings.engines)


def _worker(context: StageContext) -> WorkerBuild:
    return partial(caption_worker, CAPTION.tables(context), context.settings.branch(CaptionSettings))


def _models(settings: PipelineSettings) -> Mapping[str, str]:
    used = used_observers(settings.branch(CaptionSettings))
    return {kind.branch or "caption": uri for kind, values in used if (uri := kind.model(values))}


def _programs(settings: PipelineSettings) -> Sequence[str]:
    used = used_observers(settings.branch(CaptionSettings))
    return [program for kind, values in used if kind.model(values) for program in kind.programs]


def _engines(settings: PipelineSettings) -> Mapping[str, str]:
    used = used_observers(settings.branch(CaptionSettings))
    return {kind.setting("engine"): name for kind, values in used if (name := kind.engine(values))}


def _check(settings: PipelineSettings) -> None:
    """Refuse observers whose requests hold more pictures than their engine takes."""
    for kind, values in used_observers(settings.branch(CaptionSettings)):
        check_pictures(settings, kind.setting("engine"), kind.engine(values), kind.pictures(values))


CAPTION = ShardStage(
    name="caption",
    summary="From keyframes to frame captions, and to what else can be seen: on-screen text, events, objects.",
    settings=CaptionSettings,
    reads=("media",),
    schema=CAPTIONS,
    path="captions",
    kind="set",
    content=_content,
    hash=_hash,
    worker=_worker,
    engines=_engines,
    detectors=tuple(kind.setting("engine") for kind in OBSERVER_KINDS if kind.detects),
    check=_check,
    models=_models,
    programs=_programs,
)
