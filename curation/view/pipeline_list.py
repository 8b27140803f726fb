"""`curate pipelines`: lists the pipelines, and the engines, models and GPUs that each needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation import stage_registry
from curation.engines.engine_settings import EngineSettings
from curation.pipeline import called_pools, load_pipelines
from curation.pipeline_models import used_engines, used_models
from curation.stages.pipeline_settings import PipelineSettings
from runtime.models.model_uri import ModelURI
from runtime.terminal import SafeConsole

_ORIGINS: Final[Mapping[str, str]] = {"hf": "model hub", "pypi": "package registry", "path": "this machine"}


def show_pipelines(config: Path | None, console: Console | None = None) -> int:
    """Print the pipelines of `config` (default: those of the package) and return 0.

    Raises:
        UserError: the file can't be read, or one of its pipelines is invalid.
    """
    console = console or SafeConsole(highlight=False)
    for name, settings in load_pipelines(config).items():
        _print_pipeline(console, name, settings)
    names = ", ".join(stage.name for stage in stage_registry.STAGES)
    console.print(f"stages, in order: {names}. All settings of one: curate run NAME --print-config", soft_wrap=True)
    return 0


def _print_pipeline(console: Console, name: str, settings: PipelineSettings) -> None:
    state = "tested" if settings.tested else "untested"
    console.print(Text.assemble((name, "bold"), f" ({state}): {settings.description}"), soft_wrap=True)
    console.print(f"  needs {gpus_needed(settings)}, {_origins(settings)}", soft_wrap=True)
    table = Table(show_header=False, box=None, padding=(0, 1, 0, 1))
    for row in _models(settings):
        table.add_row(*map(Text, row))
    console.print(table)
    console.print()


def gpus_needed(settings: PipelineSettings) -> str:
    """Return in words how many GPUs the stages need in turn, and all at once."""
    in_turn = max(_gpus(settings, {stage.name, *called_pools(stage, settings)}) for stage in stage_registry.STAGES)
    at_once = _gpus(settings, settings.resources)
    if at_once == in_turn:
        return f"{in_turn} GPU{'s' * (in_turn != 1)}" if in_turn else "no GPU"
    return f"{in_turn} GPU{'s' * (in_turn != 1)}, or {at_once} to run all stages at once"


def _gpus(settings: PipelineSettings, pools: Iterable[str]) -> int:
    smallest = (settings.pool(name) for name in pools)
    return math.ceil(sum(pool.gpus * pool.min for pool in smallest))


def _origins(settings: PipelineSettings) -> str:
    schemes = {ModelURI.parse(uri).scheme for uri in used_models(settings, _all_stages()).values()}
    servers = ["a model server"] if any(engine.server for engine in _engines(settings).values()) else []
    return ", ".join([f"models from: {' and '.join(_ORIGINS[scheme] for scheme in sorted(schemes))}", *servers])


def _models(settings: PipelineSettings) -> Iterator[tuple[str, str, str]]:
    """Yield the use, the kind of engine, and the model of each pool that holds one."""
    for use, uri in used_models(settings, _all_stages()).items():
        kind = settings.engines[use].kind if use in settings.engines else "built in"
        model = ModelURI.parse(uri)
        yield use, kind, f"{model.name} ({_ORIGINS[model.scheme]})"
    for use, engine in _engines(settings).items():
        if engine.server:
            yield use, engine.kind, f"{engine.model} at {engine.server}"


def _engines(settings: PipelineSettings) -> Mapping[str, EngineSettings]:
    return {name: settings.engines[name] for name in used_engines(settings, _all_stages())}


def _all_stages() -> list[str]:
    return [stage.name for stage in stage_registry.STAGES]
