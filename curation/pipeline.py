"""Named pipelines: settings from ``pipelines.yaml``, and the stages and pools that the runner makes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

from pydantic import Field, create_model, model_validator

from curation import stage_registry
from curation.engines.engine_interface import ObjectEngine, TextEngine
from curation.engines.engine_registry import engine_for
from curation.engines.engine_settings import EngineSettings, EngineTask
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.stage_definition import ShardStage, StageContext, StageDefinition, TableStage
from runtime.errors import UserError, nearest
from runtime.ray_runner.stage import PoolSettings, Service, ServiceSpec, StageSpec
from runtime.ray_runner.table_stage import AnyStageSpec, TableStageSpec
from runtime.settings import build, content_hash, load_yaml, override

W = TypeVar("W")
_HOW: Final[Mapping[EngineTask, str]] = {
    "answers prompts": "kind vllm or endpoint",
    "finds objects": "kind detector",
    "makes vectors": "kind vllm with engine: {runner: pooling}",
}


def settings_class() -> type[PipelineSettings]:
    """Return the class of a pipeline's settings: those that all stages share, and the branches of stages."""
    branches = {
        stage.name: (stage.settings, Field(stage.settings(), description=stage.summary))
        for stage in stage_registry.STAGES
        if stage.settings is not None
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
            does, wanted = settings.engines[engine].does, stage.does(setting)
            if does != wanted:
                raise ValueError(
                    f"{setting}={engine!r}: an engine of kind {settings.engines[engine].kind!r} that {does}; "
                    f"name one that {wanted} ({_HOW[wanted]})"
                )
        stage.check(settings)
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


def called_pools(stage: StageDefinition, settings: PipelineSettings) -> tuple[str, ...]:
    """Return the names of the pools that a stage calls, each once: its own services and its engines."""
    return tuple(dict.fromkeys([*stage.services(settings), *stage.engines(settings).values()]))


def stage_specs(
    context: StageContext, todo: Mapping[str, Sequence[int]], *, videos_per_shard: int
) -> list[AnyStageSpec]:
    """Return what the runner has to run, in order: the stages that have shards in `todo`."""
    stages = _stages_in(todo)
    pools = engine_pools(context, [stage.name for stage in stages])
    return [_stage_spec(stage, context, todo[stage.name], videos_per_shard, pools) for stage in stages]


def _stages_in(names: Collection[str] | Mapping[str, Sequence[int]]) -> list[ShardStage | TableStage]:
    wanted = {name for name in names if not isinstance(names, Mapping) or names[name]}
    return [stage for stage in stage_registry.STAGES if stage.name in wanted]


class EnginePool(NamedTuple):
    """A pool of one engine; an engine has two if two stages of a run need different revisions of its model."""

    name: str
    engine: str
    settings: EngineSettings


def engine_pools(context: StageContext, names: Collection[str]) -> dict[tuple[str, str], EnginePool]:
    """Return the pool of each engine that the named stages call, by stage and engine."""
    pools: dict[tuple[str, str], EnginePool] = {}
    for stage in _stages_in(names):
        settings = context.pinned(stage.name).settings
        for engine in stage.engines(settings).values():
            wanted = settings.engines[engine]
            same = [pool for pool in pools.values() if (pool.engine, pool.settings) == (engine, wanted)]
            others = {pool.name for pool in pools.values() if pool.engine == engine}
            name = f"{engine}-{content_hash(wanted.local_model)[:8]}" if others else engine
            pools[stage.name, engine] = same[0] if same else EnginePool(name, engine, wanted)
    return pools


def _stage_spec(
    stage: ShardStage | TableStage,
    context: StageContext,
    shards: Sequence[int],
    videos_per_shard: int,
    pools: Mapping[tuple[str, str], EnginePool],
) -> AnyStageSpec:
    pinned = context.pinned(stage.name)
    pool = context.settings.pool(stage.name)
    names = {name: pools[stage.name, name].name for name in stage.engines(pinned.settings).values()}
    services = tuple(names.get(name, name) for name in called_pools(stage, pinned.settings))
    deaths = stage.deaths(videos_per_shard)
    if isinstance(stage, ShardStage):
        build = partial(_build_with_pools, stage.worker(pinned), names)
        return StageSpec(stage.name, build, pool, shards, services, deaths)
    inputs = [context.outputs[name].path for name in stage.inputs(pinned.settings)]
    table_build = partial(_build_with_pools, stage.worker(pinned), names)
    output = context.outputs[stage.name].path
    return TableStageSpec(stage.name, table_build, pool, inputs, output, shards, services, deaths)


def _build_with_pools(
    build: Callable[[Mapping[str, Service]], W], pools: Mapping[str, str], services: Mapping[str, Service]
) -> W:
    """Build a worker that knows its engines by their names in the settings.

    Args:
        build: a `WorkerBuild` or `TableWorkerBuild`.
        pools: name of the pool of each engine.
        services: the services, by the names of their pools.
    """
    return build({**services, **{engine: services[pool] for engine, pool in pools.items()}})


def service_specs(context: StageContext, specs: Sequence[AnyStageSpec]) -> list[ServiceSpec]:
    """Return the pools that the given stages call, each once."""
    settings, names = context.settings, [spec.name for spec in specs]
    starts: dict[str, ServiceSpec] = {}
    for stage in _stages_in(names):
        for name, start in stage.services(context.pinned(stage.name).settings).items():
            starts.setdefault(name, ServiceSpec(name, start, settings.pool(name)))
    for pool in engine_pools(context, names).values():
        starts.setdefault(
            pool.name,
            ServiceSpec(pool.name, engine_start(pool.settings, settings.pool(pool.engine)), settings.pool(pool.engine)),
        )
    called = dict.fromkeys(name for spec in specs for name in spec.services)
    return [starts[name] for name in called]


def engine_start(settings: EngineSettings, pool: PoolSettings) -> Callable[[], TextEngine | ObjectEngine]:
    """Return the function that starts an engine in a worker of `pool`, with no more of a GPU than that reserves."""
    return partial(engine_for, settings.on_gpus(pool.gpus))
