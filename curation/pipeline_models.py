"""The models that the stages of a pipeline load, and bringing them to this machine before workers start."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from curation import stage_registry
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.stage_definition import StageDefinition
from runtime.models.model_uri import check, resolve


def used_models(settings: PipelineSettings, names: Collection[str]) -> dict[str, str]:
    """Return the URI of every model that the named stages load on this machine, by purpose or by engine."""
    used: dict[str, str] = {}
    for stage in _named(names):
        used |= stage.models(settings)
    return used | {name: uri for name in used_engines(settings, names) if (uri := settings.engines[name].local_model)}


def used_engines(settings: PipelineSettings, names: Collection[str]) -> list[str]:
    """Return the names of the engines that the named stages call, each once."""
    return list(dict.fromkeys(engine for stage in _named(names) for engine in stage.engines(settings).values()))


def fetch_models(settings: PipelineSettings, names: Collection[str]) -> None:
    """Fetch every model of the named stages, with progress.

    Raises:
        UserError: a model does not exist or can't be fetched.
    """
    used = used_models(settings, names)
    for uri in used.values():
        check(uri)
    for uri in used.values():
        resolve(uri, show=True)


def _named(names: Collection[str]) -> Iterator[StageDefinition]:
    return (stage for stage in stage_registry.STAGES if stage.name in names)
