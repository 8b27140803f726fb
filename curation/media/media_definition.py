"""The description of the media stage (`curation.media.media_stage`) for the pipeline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from curation.engines.models.speech_recognizer import Recognizer
from curation.media.media_settings import MediaSettings
from curation.media.media_stage import MediaWorkerSpec, media_worker
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.program_versions import FFMPEG
from curation.stages.stage_definition import OTHER_DEATHS, Outputs, ShardStage, StageContext, WorkerBuild
from runtime.attempts import DEATHS_ALLOWED
from runtime.models.model_uri import revision_of
from shards.schema import CLIPS


def _hash(settings: PipelineSettings, outputs: Outputs) -> str:
    revisions = {purpose: revision_of(uri) for purpose, uri in _models(settings).items()}
    return settings.branch(MediaSettings).hash(revisions.get("asr"), revisions.get("punctuation"))


def _worker(context: StageContext) -> WorkerBuild:
    settings = context.settings.branch(MediaSettings)
    hash_, encoders = context.outputs[MEDIA.name].hash, max(math.ceil(context.settings.pool(MEDIA.name).cpus), 1)
    return partial(media_worker, MediaWorkerSpec(context.root, context.scratch, settings, hash_, encoders, context.run))


def _services(settings: PipelineSettings) -> Mapping[str, Callable[[], Any]]:
    asr = settings.branch(MediaSettings).video.transcribe.asr
    return {} if asr is None else {"asr": partial(Recognizer, asr)}


def _models(settings: PipelineSettings) -> Mapping[str, str]:
    transcribe = settings.branch(MediaSettings).video.transcribe
    used = {"asr": transcribe.asr, "punctuation": transcribe.punctuation}
    return {purpose: model.model for purpose, model in used.items() if model is not None}


def _programs(settings: PipelineSettings) -> Sequence[str]:
    transcribe = settings.branch(MediaSettings).video.transcribe
    recognizer = () if transcribe.asr is None else ("faster-whisper", "ctranslate2")
    punctuator = () if transcribe.punctuation is None else ("transformers", "torch")
    return (FFMPEG, "av", "yt-dlp", *recognizer, *punctuator)


def _deaths(videos_per_shard: int) -> int:
    """Each video of a shard may end its worker `DEATHS_ALLOWED` times before the worker gives the video up."""
    return OTHER_DEATHS + DEATHS_ALLOWED * videos_per_shard


MEDIA = ShardStage(
    name="media",
    summary="From source to clips.",
    settings=MediaSettings,
    schema=CLIPS,
    path="media",
    kind="only",
    content=lambda settings: settings.branch(MediaSettings).content(),
    hash=_hash,
    worker=_worker,
    service_names=("asr",),
    services=_services,
    models=_models,
    programs=_programs,
    deaths=_deaths,
)
