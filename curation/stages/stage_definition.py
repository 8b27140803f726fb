"""The description of a stage: its settings, inputs, output, content hash, worker, and the pools that it calls.

A new stage is one file that ends with a `ShardStage` or a `TableStage`, and one line in `curation.stage_registry`. The
plan, the run, ``--stages``, ``--print-config`` and the names under `resources` are all made from these descriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import pyarrow as pa

from curation.engines.engine_settings import EngineTask
from curation.stages.pinned_settings import pinned_settings
from curation.stages.pipeline_settings import PipelineSettings
from curation.stages.shard_table import ShardTable
from curation.stages.whole_table import InputTables, WholeTable
from runtime.ray_runner.stage import Service, Worker
from runtime.ray_runner.table_stage import TableWorker
from runtime.retry_limits import OTHER_DEATHS_PER_SHARD
from runtime.settings import Settings

OTHER_DEATHS: Final = OTHER_DEATHS_PER_SHARD.count
"""Deaths of a worker on one shard that the runner allows in every stage, for causes other than a video."""

FolderKind = Literal["only", "set", "layer"]
"""The rule by which a stage chooses its folder.

``only``: one folder for the whole DIR, refused if it was made with other settings. ``set``: any folder below `path`
that was made with the same settings, otherwise a new one named after the text layer. ``layer``: the folder of the text
layer, or the one that the stage's settings name (`ShardStage.folder_name`); ``--replace`` builds beside it and swaps.
"""


@dataclass(frozen=True)
class StageOutput:
    """The folder (or the table) that a stage writes, and the content hash of today's settings for it."""

    path: str
    """Folder in the DIR; of a stage over all shards, the name of its table."""
    hash: str
    replaces: str | None = None
    """The finished folder that `path` will replace when it is complete."""
    revisions: Mapping[str, str] = field(default_factory=dict)
    """The revision of each model that the stage calls, by the URI in the settings."""

    @property
    def final_path(self) -> str:
        """The folder after the swap; inputs are recorded under this name."""
        return self.replaces or self.path


Outputs = Mapping[str, StageOutput]
"""The output of each stage, by the stage's name."""


@dataclass(frozen=True)
class StageContext:
    """Everything a worker is built from: the DIR, the settings, and the outputs of all stages."""

    root: str
    """Path or URL of the DIR."""
    scratch: str
    """Folder on a local disk for work in progress."""
    settings: PipelineSettings
    outputs: Outputs
    run: str = ""
    """Id of the run, for what its workers share."""

    def pinned(self, stage: str) -> StageContext:
        """Return the context of one stage, in whose settings its models are pinned to the revisions of its output."""
        return replace(self, settings=pinned_settings(self.settings, self.outputs[stage].revisions))

    def inputs(self, stage: str) -> InputTables:
        """Return the tables of a stage, for a stage over all shards that reads them."""
        output = self.outputs[stage]
        return InputTables(self.root, output.path, output.final_path)


WorkerBuild = Callable[[Mapping[str, Service]], Worker]
"""Pickled and called in the worker's process with the services that the stage calls."""
TableWorkerBuild = Callable[[Mapping[str, Service]], TableWorker]


def _no_check(settings: PipelineSettings) -> None:
    pass


def _nothing(settings: PipelineSettings) -> Mapping[str, Any]:
    return {}


def _no_programs(settings: PipelineSettings) -> Sequence[str]:
    return ()


def _no_warnings(settings: PipelineSettings) -> Sequence[str]:
    return ()


def _no_stages(settings: PipelineSettings) -> Sequence[str]:
    return ()


def _always(settings: PipelineSettings) -> None:
    pass


def _layer_name(settings: PipelineSettings) -> None:
    pass


def _other_deaths(videos_per_shard: int) -> int:
    return OTHER_DEATHS


@dataclass(frozen=True, kw_only=True)
class StageDefinition:
    """The part of a description that both kinds of stage have in common."""

    name: str
    """Name in ``--stages``, of the branch of settings, of its pool, and in logs."""
    summary: str
    """One line for people: the description of its branch of settings."""
    settings: type[Settings] | None = None
    """Class of its branch of settings, all fields with defaults; None: it has only settings that stages share."""
    reads: tuple[str, ...] = ()
    """Names of the stages whose tables it reads; each of them makes one table per shard."""
    reads_too: Callable[[PipelineSettings], Sequence[str]] = _no_stages
    """Return names of more such stages, whose tables only some settings need."""
    unused: Callable[[PipelineSettings], str | None] = _always
    """Return one line for people if the settings give it nothing to do, with the remedy: runs then leave it out."""
    schema: pa.Schema
    """Schema of its tables."""
    content: Callable[[PipelineSettings], dict[str, Any]]
    """Return the settings that decide what it makes; stored in ``manifest.json`` and ``_stage.json`` for people."""
    hash: Callable[[PipelineSettings, Outputs], str]
    """Return the content hash of its output, given the outputs of the stages before it."""
    engines: Callable[[PipelineSettings], Mapping[str, str]] = _nothing
    """Return the names of the engines that it calls, of `PipelineSettings.engines`, by the setting that names each."""
    detectors: tuple[str, ...] = ()
    """Those settings of `engines` that must name a detector of objects."""
    embedders: tuple[str, ...] = ()
    """Those that must name a pooling model; the others of `engines` name an engine that answers prompts."""
    check: Callable[[PipelineSettings], None] = _no_check
    """Raise ValueError, which names the settings, if the stage's settings don't agree with those of its engines."""
    warnings: Callable[[PipelineSettings], Sequence[str]] = _no_warnings
    """Return one line for each choice in the settings that is allowed but unwise."""
    service_names: tuple[str, ...] = ()
    """Names of the other pools that it may call; valid names under `resources`."""
    services: Callable[[PipelineSettings], Mapping[str, Callable[[], Any]]] = _nothing
    """Return how the other pools that it calls are built, by name; each is pickled."""
    models: Callable[[PipelineSettings], Mapping[str, str]] = _nothing
    """Return URIs of the models that it loads besides the engine's, by purpose."""
    programs: Callable[[PipelineSettings], Sequence[str]] = _no_programs
    """Return names of the programs that it uses besides those of its engines (`curation.stages.program_versions`)."""
    retried: Mapping[str, str] = field(default_factory=dict)
    """Failures of clips that ``--retry-failed`` may name, each with the figure of a shard that counts them."""
    deaths: Callable[[int], int] = _other_deaths
    """Return how often its worker may die on one shard before the run ends, given the videos in a shard."""

    def inputs(self, settings: PipelineSettings) -> tuple[str, ...]:
        """Return the names of all stages whose tables it reads."""
        return (*self.reads, *self.reads_too(settings))

    def does(self, setting: str) -> EngineTask:
        """Return what the engine that a setting of `engines` names must do."""
        if setting in self.detectors:
            return "finds objects"
        return "makes vectors" if setting in self.embedders else "answers prompts"


@dataclass(frozen=True, kw_only=True)
class ShardStage(StageDefinition):
    """A stage that makes one artifact from one shard."""

    path: str
    """Folder in the DIR: its own (``media``), or the parent of its folders (``text``)."""
    kind: FolderKind
    folder_name: Callable[[PipelineSettings], str | None] = _layer_name
    """Return the name of its folder in `path`; None: that of the text layer."""
    renaming: str = "add --layer NAME"
    """The remedy, in words, that gives its folder another name."""
    worker: Callable[[StageContext], WorkerBuild]

    def tables(self, context: StageContext) -> ShardTable:
        """Return the tables that it writes."""
        output = context.outputs[self.name]
        scratch = context.scratch
        return ShardTable(self.name, context.root, output.path, scratch, output.hash, self.schema, output.replaces)


@dataclass(frozen=True, kw_only=True)
class TableStage(StageDefinition):
    """A stage that reads tables of all shards and makes one table; it runs after the stages before it have ended."""

    path: str
    """Name of its table in the DIR (``selections/duplicates.parquet``); ``{selection}`` in it stands for the name that
    the run gives to its selection."""
    worker: Callable[[StageContext], TableWorkerBuild]
    in_process: bool = False
    """It takes seconds and little memory: Ray is not started for its sake alone."""

    def table(self, context: StageContext) -> WholeTable:
        """Return the table that it writes."""
        output = context.outputs[self.name]
        return WholeTable(self.name, context.root, output.path, context.scratch, output.hash, self.schema)
