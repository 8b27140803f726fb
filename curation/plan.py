"""Plans a run: which sources are new, which artifacts are missing or stale, and which folders are written.

Everything is decided here before any work starts and before Ray is started; `curation.run` carries it out. An artifact
is up to date if its folder holds the hash of today's settings, and its inputs still have the digests that it records.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from curation import stage_registry
from curation.media.media_settings import MediaSettings
from curation.media.sidecar_inputs import sidecar_changes
from curation.output_folders import moved_models, stage_outputs
from curation.pipeline_models import used_models
from curation.run_request import RunRequest
from curation.run_sources import run_sources
from curation.sources.postponed_sources import has_postponed, is_untried
from curation.sources.table.planned_sources import PlannedSources
from curation.stages.stage_definition import Outputs, ShardStage, StageContext, StageOutput, TableStage
from runtime.models.model_revisions import look_up
from runtime.models.model_uri import cache_folder
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.pending_shards import Work, inputs_of, work_of
from shards.reader import read_artifact
from shards.records.known_artifacts import KnownArtifacts
from shards.removal.unfinished import read_unfinished
from shards.storage.store import Store


@dataclass(frozen=True)
class StagePlan:
    """One stage of a run: its output, and its shards by state."""

    stage: ShardStage | TableStage
    output: StageOutput
    work: Work
    """Shards to make. Of a stage over all shards: all shards that it reads, either done or to do."""

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.stage.name

    @property
    def folder(self) -> str:
        """Folder that it writes in."""
        path = self.output.path
        return path if isinstance(self.stage, ShardStage) else path.rpartition("/")[0]

    @property
    def todo(self) -> tuple[int, ...]:
        """Shards that are missing or stale."""
        return self.work.todo

    @property
    def counts(self) -> tuple[int, int, int]:
        """Artifacts that are done, to do, and (of those) stale: shards, or the one table of a stage over all shards."""
        shards = (self.work.done, self.work.todo, self.work.stale)
        done, todo, stale = (min(len(x), 1) if isinstance(self.stage, TableStage) else len(x) for x in shards)
        return done, todo, stale


@dataclass(frozen=True)
class RunPlan:
    """Everything that a run will do."""

    request: RunRequest
    outputs: Outputs
    sources: PlannedSources
    stages: tuple[StagePlan, ...]
    """The stages that were asked for, in order."""
    media: Mapping[int, Artifact]
    """The media that are committed already; without shards of which no source was tried."""
    warnings: tuple[str, ...] = ()
    run: str = field(default_factory=lambda: uuid4().hex)
    """Id of the run, for what its workers share."""

    @property
    def context(self) -> StageContext:
        """The context that workers are built from."""
        request = self.request
        return StageContext(request.store.root, str(request.scratch), request.settings, self.outputs, self.run)

    @property
    def todo(self) -> dict[str, Sequence[int]]:
        """Shards that each stage has to make, by name."""
        return {stage.name: stage.todo for stage in self.stages}

    @property
    def needs_ray(self) -> bool:
        """True if a stage has something to do that is more than a table made in seconds."""
        to_do = [stage.stage for stage in self.stages if stage.todo]
        light = all(isinstance(stage, TableStage) and stage.in_process for stage in to_do)
        return not self.request.is_local and not light

    @property
    def replaced(self) -> list[StageOutput]:
        """Outputs of this run that will replace a finished folder."""
        return [stage.output for stage in self.stages if stage.output.replaces]

    @property
    def is_done(self) -> bool:
        """True if there is nothing to do."""
        return not self.sources.new and not self.replaced and not any(self.todo.values())


def make_plan(request: RunRequest) -> RunPlan:
    """Decide what a run has to do. Reads the DIR, changes nothing.

    Raises:
        UserError: the input, the settings or the state of the DIR don't allow the run.
    """
    known = KnownArtifacts(request.store)
    committed, again = _media(known), "postponed" in request.tries
    media = {shard: artifact for shard, artifact in committed.items() if not (again and is_untried(artifact.counts))}
    postponed = [shard for shard, artifact in media.items() if has_postponed(artifact.counts)]
    sources, warnings = run_sources(request, postponed)
    today = look_up(used_models(request.settings, [stage.name for stage in stage_registry.STAGES]).values())
    outputs = stage_outputs(request, today)
    changes = sidecar_changes(sources, media, request.settings.branch(MediaSettings), cache_folder() / "hashes")
    return RunPlan(
        request=request,
        outputs=outputs,
        sources=sources,
        stages=_plan_stages(request, known, outputs, sources.shards, media, changes.inputs),
        media=media,
        warnings=(
            *_unfinished(request.store),
            *warnings,
            *_unwise(request),
            *moved_models(request, outputs, today),
            *changes.warnings,
        ),
    )


def _unfinished(store: Store) -> list[str]:
    """Return a warning if a removal was interrupted."""
    message = f"a removal was interrupted; `curate remove {store.root}` or the next run finishes it"
    return [message] if read_unfinished(store) is not None else []


def _unwise(request: RunRequest) -> list[str]:
    """Return the warnings of the stages that were asked for."""
    stages = (stage for stage in stage_registry.STAGES if stage.name in request.stages)
    return [warning for stage in stages for warning in stage.warnings(request.settings)]


def _media(known: KnownArtifacts) -> dict[int, Artifact]:
    """Return the committed media that has its ledger; a shard without one is made again: its sources have no state."""
    booked = {shard for shard, ledger in known.of("ledger").items() if ledger.stage == "media"}
    return {shard: artifact for shard, artifact in known.media().items() if shard in booked}


def _plan_stages(
    request: RunRequest,
    known: KnownArtifacts,
    outputs: Outputs,
    shards: Sequence[int],
    media: Mapping[int, Artifact],
    beside: Mapping[int, Mapping[str, str]],
) -> tuple[StagePlan, ...]:
    """Return the work of each stage that was asked for; a stage that is left out still provides its tables.

    `beside` has the inputs of each shard's media: subtitle files beside the videos.
    """
    plans: list[StagePlan] = []
    made: dict[str, Mapping[int, Artifact]] = {}
    redone: set[int] = set()
    for stage in stage_registry.STAGES:
        output = outputs[stage.name]
        reads = stage.inputs(request.settings)
        inputs = {outputs[name].final_path: made[name] for name in reads}
        available = _available(shards, [made[name] for name in reads], redone)
        if isinstance(stage, ShardStage):
            made[stage.name] = media if stage.path == "media" else known.of(output.path)
            digests = {shard: inputs_of(inputs, shard) for shard in available} if reads else beside
            again = _retried(stage, made[stage.name], request.retry or ())
            work = work_of(available, made[stage.name], output.hash, digests, redone | again)
        else:
            work = _table_work(request.store, output, available, inputs, redone)
        if stage.name in request.stages:
            plans.append(StagePlan(stage, output, work))
            redone |= set(work.todo) if isinstance(stage, ShardStage) else set()
    return tuple(plans)


def _retried(stage: ShardStage, made: Mapping[int, Artifact], classes: Collection[str]) -> set[int]:
    """Return the shards with clips that failed in one of the classes that ``--retry-failed`` names."""
    counts = [count for name, count in stage.retried.items() if name in classes]
    return {shard for shard, artifact in made.items() if any(artifact.counts.get(count) for count in counts)}


def _available(shards: Sequence[int], inputs: Sequence[Mapping[int, Artifact]], redone: set[int]) -> list[int]:
    """Return the shards whose inputs are there, or are made in this run."""
    return [shard for shard in shards if all(shard in made or shard in redone for made in inputs)]


def _table_work(
    store: Store,
    output: StageOutput,
    shards: Sequence[int],
    inputs: Mapping[str, Mapping[int, Artifact]],
    redone: set[int],
) -> Work:
    """Return all of `shards` as done if the table is up to date with them, otherwise as to do."""
    table = _artifact(store, output.path)
    digests = {name: digest for shard in shards for name, digest in inputs_of(inputs, shard).items()}
    current = table is not None and table.content_hash == output.hash and dict(table.inputs) == digests
    if current and not redone & set(shards):
        return Work(tuple(shards), ())
    return Work((), tuple(shards), tuple(shards) if table else ())


def _artifact(store: Store, name: str) -> Artifact | None:
    try:
        return read_artifact(store, name)
    except (FileNotFoundError, ShardError):
        return None
