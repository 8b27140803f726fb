"""The models that the stages of a pipeline load, and bringing them to this machine before workers start."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from curation import stage_registry
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.program_versions import OWN
from curation.stages.stage_definition import StageContext, StageDefinition
from runtime.models.model_uri import resolve


def used_models(settings: PipelineSettings, names: Collection[str]) -> dict[str, str]:
    """Return the URI of every model that the named stages load on this machine, by purpose or by engine."""
    used: dict[str, str] = {}
    for stage in _named(names):
        used |= stage.models(settings)
    return used | {name: uri for name in used_engines(settings, names) if (uri := settings.engines[name].local_model)}


def used_engines(settings: PipelineSettings, names: Collection[str]) -> list[str]:
    """Return the names of the engines that the named stages call, each once."""
    return list(dict.fromkeys(engine for stage in _named(names) for engine in stage.engines(settings).values()))


def pinned_models(context: StageContext, names: Collection[str]) -> dict[str, str]:
    """Return the pinned URI of every model that the named stages load, by purpose or by engine.

    A model that stages need in different revisions is named with the folder as well.
    """
    used: dict[str, str] = {}
    for name in names:
        for use, uri in used_models(context.pinned(name).settings, [name]).items():
            used[use if used.get(use, uri) == uri else f"{use} for {context.outputs[name].final_path}"] = uri
    return used


def fetch_models(context: StageContext, names: Collection[str]) -> None:
    """Fetch every model of the named stages in the revision that the run uses, with progress.

    Raises:
        UserError: a model does not exist or can't be fetched.
    """
    for uri in dict.fromkeys(pinned_models(context, names).values()):
        resolve(uri, show=True)


def used_programs(settings: PipelineSettings, name: str) -> list[str]:
    """Return the names of the programs that a stage uses, with those of its engines."""
    (stage,) = _named([name])
    engines = [program for engine in used_engines(settings, [name]) for program in settings.engines[engine].programs]
    return [OWN, *stage.programs(settings), *engines]


def _named(names: Collection[str]) -> Iterator[StageDefinition]:
    return (stage for stage in stage_registry.STAGES if stage.name in names)
