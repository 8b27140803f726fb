"""Which models a pipeline uses, and having them on this machine before workers start."""

from __future__ import annotations

from collections.abc import Sequence

from curation.pipeline import PipelineSettings, StageName, services_needed
from runtime.models.model_uri import check, resolve


def used_models(settings: PipelineSettings, stages: Sequence[StageName]) -> dict[str, str]:
    """URI of every model that the given stages load, by what it is for; endpoints load none here."""
    used: dict[str, str] = {}
    transcription = settings.media.video.transcribe
    if "media" in stages and transcription.asr:
        used["asr"] = transcription.asr.model
    if "media" in stages and transcription.punctuation:
        used["punctuation"] = transcription.punctuation.model
    if "caption" in stages and settings.caption.engine is None:
        used["caption"] = settings.caption.tagger.model
    for name in dict.fromkeys(name for stage in stages for name in services_needed(settings)[stage]):
        if name in settings.engines and (uri := settings.engines[name].local_model):
            used[name] = uri
    return used


def fetch(settings: PipelineSettings, stages: Sequence[StageName]) -> None:
    """Bring every model of the given stages to this machine, with progress; `UserError` where one can't be had."""
    used = used_models(settings, stages)
    for uri in used.values():
        check(uri)
    for uri in used.values():
        resolve(uri, show=True)
