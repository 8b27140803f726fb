"""The rewrite stage: the clips and frame captions of a shard in, one table of a text layer out.

    media/<shard>.parquet + captions/<name>/<shard>.parquet -> text/<layer>/<shard>.parquet

An unusable answer of the model becomes a null and a count; only faults of the machine end
the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from curation.captions.observation import Observation
from curation.captions.observer_registry import CaptionSettings
from curation.engines.engine_settings import EngineSettings
from curation.grounding.cascade import RETRIED_COUNT
from curation.grounding.pixels.clip_pictures import ClipPictures
from curation.grounding.pixels.stored_pictures import pictures_of_shard
from curation.media.media_rows import MediaClipRow
from curation.stages.pictures_per_prompt import check_pictures
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.shard_table import ShardTable
from curation.stages.stage_definition import Outputs, ShardStage, StageContext, WorkerBuild
from curation.text.judge_families import same_family_warnings
from curation.text.rewrite_settings import RewriteSettings
from curation.text.rewriter import Rewriter
from curation.text.text_rows import ModelNames, TextRow, clip_texts, read_clip_row
from runtime.models.model_uri import ModelURI, revision_of
from runtime.ray_runner.stage import Service, ShardResult
from runtime.settings import content_hash
from shards.errors import ShardError
from shards.keys import shard_name
from shards.media.observations import observations_of
from shards.reader import read_artifact, read_table
from shards.schema import TEXT

REWRITE_VERSION = 4


def model_names(
    caption: CaptionSettings, rewrite: RewriteSettings, engines: Mapping[str, EngineSettings]
) -> ModelNames:
    """Return the names of models and prompts that every row of a layer holds, from the settings of a pipeline."""
    tagger = ModelURI.parse(caption.tagger.model).name
    captioner = tagger if caption.engine is None else engines[caption.engine].model_name
    if rewrite.engine is None:
        return ModelNames(captioner, None, "+".join(caption.prompt_refs()) or None)
    refs = [*caption.prompt_refs(), *(prompt.ref for prompt in rewrite.prompts().values())]
    return ModelNames(captioner, engines[rewrite.engine].model_name, "+".join(refs))


def rewrite_hash(
    settings: RewriteSettings,
    engines: Mapping[str, EngineSettings],
    captions: str,
    captions_hash: str,
) -> str:
    """Return the content hash of a text layer; filters, splits and the names of models are not part of it.

    Args:
        settings: of the rewrite.
        engines: settings of all engines by name.
        captions: name of the caption set that the layer is made from.
        captions_hash: content hash of that caption set.
    """
    model = None if settings.engine is None else engines[settings.engine].identity()
    made_from = [captions, captions_hash]
    models = [model, _judging_models(settings, engines)]
    return content_hash("rewrite", REWRITE_VERSION, settings.content(), models, made_from)


def _judging_models(settings: RewriteSettings, engines: Mapping[str, EngineSettings]) -> dict[str, Any]:
    """Return the identity of the model behind each judge that has one."""
    names = {judge: name or settings.engine for judge, name in settings.ground.engines().items()}
    asked: dict[str, Any] = {judge: engines[name].identity() for judge, name in names.items() if name is not None}
    return asked | {purpose: revision_of(uri) for purpose, uri in settings.ground.models().items()}


def rewrite_worker(
    output: ShardTable,
    captions: str,
    settings: RewriteSettings,
    models: ModelNames,
    services: Mapping[str, Service],
) -> RewriteWorker:
    """Build a rewrite worker in its own process; `captions` is the folder of the caption set to read."""
    return RewriteWorker(output, captions, Rewriter(services, settings), models, with_pictures=settings.ground.looks)


_Inputs = tuple[dict[str, str], list[MediaClipRow], list[Observation], dict[str, ClipPictures]]


class RewriteWorker:
    """Writes the text layer of a shard; see `runtime.ray_runner.stage.Worker`."""

    def __init__(
        self, output: ShardTable, captions: str, rewriter: Rewriter, models: ModelNames, *, with_pictures: bool = False
    ) -> None:
        self._output = output
        self._captions = captions
        self._rewriter = rewriter
        self._models = models
        self._with_pictures = with_pictures

    async def process(self, shard: int) -> ShardResult:
        """Make the shard's table of the layer: one row for each row of the shard's media table, in its order."""
        return await self._output.result(shard, self._make(shard))

    async def _make(self, shard: int) -> Mapping[str, float]:
        inputs, clips, observations, pictures = await asyncio.to_thread(self._read, shard)
        texts = [replace(each, pictures=pictures.get(each.key)) for each in clip_texts(clips, observations)]
        rewritten, figures = await self._rewriter.rewrite(texts)
        rows = [
            TextRow(clip, text, result, self._models)
            for clip, text, result in zip(clips, texts, rewritten, strict=True)
        ]
        counts = {**figures, "clips": len(rows)}
        await asyncio.to_thread(self._output.commit, shard, [row.table_row() for row in rows], inputs, counts)
        return counts

    def _read(self, shard: int) -> _Inputs:
        """Return the digests of the layer's inputs, the clips, what was observed, and the clips' pictures.

        Raises:
            ShardError: the captions were made from other media than the shard has now.
        """
        store = self._output.store
        media, captions = (f"{folder}/{shard_name(shard)}.parquet" for folder in ("media", self._captions))
        artifacts = {name: read_artifact(store, name) for name in (media, captions)}
        if artifacts[captions].inputs.get(media) != artifacts[media].digest:
            raise ShardError(f"{captions} was made from an older {media}; run the caption stage again")
        digests = {name: artifact.digest for name, artifact in artifacts.items()}
        rows = read_table(store, media).to_pylist()
        clips = [read_clip_row(values) for values in rows]
        observations = [Observation.from_row(row) for row in observations_of(read_table(store, captions))]
        return digests, clips, observations, pictures_of_shard(store, shard, rows) if self._with_pictures else {}


def _names(settings: PipelineSettings) -> ModelNames:
    return model_names(settings.branch(CaptionSettings), settings.branch(RewriteSettings), settings.engines)


def _content(settings: PipelineSettings) -> dict[str, Any]:
    return settings.branch(RewriteSettings).content() | {"engines": settings.engines_content()}


def _hash(settings: PipelineSettings, outputs: Outputs) -> str:
    captions = outputs["caption"]
    name = captions.path.removeprefix("captions/")
    rewrite = settings.branch(RewriteSettings)
    return rewrite_hash(rewrite, settings.engines, name, captions.hash)


def _worker(context: StageContext) -> WorkerBuild:
    captions = context.outputs["caption"].path
    rewrite = context.settings.branch(RewriteSettings)
    return partial(rewrite_worker, REWRITE.tables(context), captions, rewrite, _names(context.settings))


def _engines(settings: PipelineSettings) -> Mapping[str, str]:
    rewrite = settings.branch(RewriteSettings)
    judges = {f"rewrite.ground.{judge}.engine": name for judge, name in rewrite.ground.engines().items()}
    return {setting: name for setting, name in {"rewrite.engine": rewrite.engine, **judges}.items() if name is not None}


def _check(settings: PipelineSettings) -> None:
    """Refuse judges whose requests hold more pictures than their engine takes."""
    rewrite = settings.branch(RewriteSettings)
    named = rewrite.ground.engines()
    for judge, asked in rewrite.ground.pictures_per_request().items():
        check_pictures(settings, f"rewrite.ground.{judge}.engine", named[judge] or rewrite.engine, asked)


def _models(settings: PipelineSettings) -> dict[str, str]:
    rewrite = settings.branch(RewriteSettings)
    parser = {"claim parser": rewrite.controls.parser} if rewrite.grounded and rewrite.controls.share else {}
    return {**rewrite.ground.models(), **parser}


REWRITE = ShardStage(
    name="rewrite",
    summary="From speech and frame captions to summaries and grounded text.",
    settings=RewriteSettings,
    reads=("media", "caption"),
    schema=TEXT,
    path="text",
    kind="layer",
    content=_content,
    hash=_hash,
    worker=_worker,
    engines=_engines,
    check=_check,
    warnings=same_family_warnings,
    models=_models,
    retried={"judge": RETRIED_COUNT},
)
