"""Named pipelines: settings from ``pipelines.yaml``, and the stages and pools that the runner makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from pydantic import Field, create_model, model_validator

from curation import stage_registry
from curation.engines.engine_registry import engine_for
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.stage_definition import ShardStage, StageContext, StageDefinition, TableStage
from runtime.errors import UserError, nearest
from runtime.ray_runner.stage import ServiceSpec, StageSpec
from runtime.ray_runner.table_stage import AnyStageSpec, TableStageSpec
from runtime.settings import build, load_yaml, override


def settings_class() -> type[PipelineSettings]:
    """Return the class of a pipeline's settings: those that all stages share, and a branch for each stage."""
    branches = {
        stage.name: (stage.settings, Field(stage.settings(), description=stage.summary))
        for stage in stage_registry.STAGES
    }
    return cast(
        type[PipelineSettings],
        create_model(
            "PipelineSettings",
            __base__=PipelineSettings,
            __doc__=PipelineSettings.__doc__,
            __validators__={"names_exist": cast(Any, model_validator(mode="after")(_check_names))},
            **cast(dict[str, Any], branches),
        ),
    )


def _check_names(settings: PipelineSettings) -> PipelineSettings:
    for stage in stage_registry.STAGES:
        for setting, engine in stage.engines(settings).items():
            if engine not in settings.engines:
                raise ValueError(f"{setting}={engine!r}: no such engine{nearest(engine, settings.engines)}")
    names = [name for stage in stage_registry.STAGES for name in (stage.name, *stage.service_names)]
    known = {*names, *settings.engines}
    for name in settings.resources:
        if name not in known:
            raise ValueError(f"resources.{name}: no such pool{nearest(name, known)}")
    return settings


def load_pipeline(name: str, config: Path | None, assignments: Sequence[str]) -> PipelineSettings:
    """Read the pipeline `name` from `config` (default: the pipelines that come with the package).

    Raises:
        UserError: no such pipeline, an unknown setting, or an invalid value.
    """
    pipelines = load_yaml(config or default_config())
    if name not in pipelines:
        raise UserError(f"PIPELINE {name}: no such pipeline in {config or 'pipelines.yaml'}{nearest(name, pipelines)}")
    values: Any = pipelines[name] or {}
    if not isinstance(values, dict):
        raise UserError(f"{name}: must be a mapping of settings")
    return build(settings_class(), override(values, assignments), name)


def load_pipelines(config: Path | None) -> dict[str, PipelineSettings]:
    """Read all pipelines of `config`, by name; see `load_pipeline`."""
    return {name: load_pipeline(name, config, ()) for name in load_yaml(config or default_config())}


def default_config() -> Path:
    """Return the pipelines.yaml of the package, or of the checkout that it is installed from."""
    packaged = Path(str(files("curation"))) / "pipelines.yaml"
    return packaged if packaged.exists() else Path(__file__).parent.parent / "pipelines.yaml"


def stage_contents(settings: PipelineSettings) -> dict[str, dict[str, Any]]:
    """Return, by stage, the settings that decide its content: defaults filled in, without addresses and secrets."""
    return {stage.name: stage.content(settings) for stage in stage_registry.STAGES}


def called_pools(stage: StageDefinition, settings: PipelineSettings) -> tuple[str, ...]:
    """Return the names of the pools that a stage calls, each once: its own services and its engines."""
    return tuple(dict.fromkeys([*stage.services(settings), *stage.engines(settings).values()]))


def stage_specs(
    context: StageContext, todo: Mapping[str, Sequence[int]], *, videos_per_shard: int
) -> list[AnyStageSpec]:
    """Return what the runner has to run, in order: the stages that have shards in `todo`."""
    return [
        _stage_spec(stage, context, todo[stage.name], videos_per_shard)
        for stage in stage_registry.STAGES
        if todo.get(stage.name)
    ]


def _stage_spec(
    stage: ShardStage | TableStage, context: StageContext, shards: Sequence[int], videos_per_shard: int
) -> AnyStageSpec:
    pool = context.settings.pool(stage.name)
    services, deaths = called_pools(stage, context.settings), stage.deaths(videos_per_shard)
    if isinstance(stage, ShardStage):
        return StageSpec(stage.name, stage.worker(context), pool, shards, services, deaths)
    inputs = [context.outputs[name].path for name in stage.reads]
    return TableStageSpec(stage.name, stage.worker(context), pool, inputs, stage.path, shards, services, deaths)


def service_specs(settings: PipelineSettings, specs: Sequence[AnyStageSpec]) -> list[ServiceSpec]:
    """Return the pools that the given stages call, each once."""
    own = {name: start for stage in stage_registry.STAGES for name, start in stage.services(settings).items()}
    names = dict.fromkeys(name for spec in specs for name in spec.services)
    return [
        ServiceSpec(name, own.get(name) or partial(engine_for, settings.engines[name]), settings.pool(name))
        for name in names
    ]
