"""The records of a DIR around a run: manifest, sources and ``_stage.json`` before the work, index and swap after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from curation import stage_registry
from curation.pipeline_models import used_programs
from curation.plan import RunPlan, StagePlan
from curation.stages.program_versions import program_versions, with_versions
from curation.stages.stage_definition import ShardStage
from shards.errors import ShardError
from shards.index import read_index, rebuild_index
from shards.manifest import Manifest, StageMark, read_manifest, read_stage, write_manifest, write_stage
from shards.reader import artifacts, binding_mark
from shards.records.known_artifacts import KNOWN_TABLE, KnownArtifacts
from shards.schema import SCHEMA_VERSION
from shards.sources.part_writer import append_parts, upgrade_single_table
from shards.sources.source_parts import SOURCES_FOLDER


def begin(plan: RunPlan) -> None:
    """Write the sources, the manifest, and the hash of each folder before the work begins.

    The sources come first: a DIR with a manifest or media but no sources has lost them, and is refused.
    """
    request, store = plan.request, plan.request.store
    for folder in ("", SOURCES_FOLDER, "keyframes", "ledger", "videos", *(stage.folder for stage in plan.stages)):
        store.sweep(folder)
    upgrade_single_table(store, request.scratch)
    append_parts(store, request.scratch, plan.sources.added())
    plan.sources.close()
    before = read_manifest(store)
    manifest = _manifest(plan, before)
    if manifest != before:
        write_manifest(store, manifest)
    for stage in plan.stages:
        mark = _mark(plan, stage)
        if isinstance(stage.stage, ShardStage) and read_stage(store, stage.folder) != mark:
            write_stage(store, stage.folder, mark)


def _manifest(plan: RunPlan, before: Manifest | None) -> Manifest:
    """Return the manifest of the DIR with the models and the versions of programs of this run."""
    request, media = plan.request, plan.outputs["media"].hash
    if before is None or ("media" in request.stages and before.media_hash != media):
        contents: dict[str, Any] = {
            stage.name: stage.content(plan.context.pinned(stage.name).settings) for stage in stage_registry.STAGES
        }
        contents["resources"] = request.settings.model_dump(mode="json")["resources"]
        before = Manifest(request.pipeline, contents, plan.sources.videos_per_shard, media)
    working = [stage for stage in plan.stages if stage.todo]
    makes_shards = any(isinstance(stage.stage, ShardStage) for stage in working)
    models = {stage.output.final_path: dict(stage.output.revisions) for stage in working if stage.output.revisions}
    programs = {program for stage in working for program in _programs(plan, stage)}
    return replace(
        before,
        videos_per_shard=max(before.videos_per_shard, plan.sources.largest_shard),
        schema_version=SCHEMA_VERSION if makes_shards else before.schema_version,
        models={**before.models, **models},
        versions=with_versions(before.versions, program_versions(programs)),
    )


def _mark(plan: RunPlan, stage: StagePlan) -> StageMark:
    """Return the record of a stage's folder; the versions of programs change only if the run makes artifacts in it."""
    settings, output = plan.context.pinned(stage.name).settings, stage.output
    bound = binding_mark(plan.request.store, stage.folder) if isinstance(stage.stage, ShardStage) else None
    now = program_versions(_programs(plan, stage)) if stage.todo else {}
    versions = with_versions({} if bound is None else bound.versions, now)
    return StageMark(stage.name, output.hash, stage.stage.content(settings), dict(output.revisions), versions)


def _programs(plan: RunPlan, stage: StagePlan) -> list[str]:
    return [*used_programs(plan.request.settings, stage.name), *(["ray"] if plan.needs_ray else [])]


def finish(plan: RunPlan) -> None:
    """Bring the index and the table of records up to date, and swap in a replaced layer if all of it is there."""
    store, known = plan.request.store, KnownArtifacts(plan.request.store)
    media = known.media()
    rebuild_index(store, media)
    for output in plan.replaced:
        assert output.replaces is not None
        if media.keys() <= artifacts(store, output.path).keys():
            store.replace_folder(output.path, output.replaces)
    shard_stages = [stage.name for stage in stage_registry.STAGES if isinstance(stage, ShardStage)]
    for folder in ("ledger", *(plan.outputs[name].final_path for name in shard_stages)):
        known.of(folder)
    known.save()


def is_finished(plan: RunPlan) -> bool:
    """Return True if the index describes the media of the DIR: the last run was not killed before `finish`."""
    if not plan.request.store.exists(KNOWN_TABLE):
        return False
    try:
        index = read_index(plan.request.store)
    except ShardError:
        return False
    digests = {shard: artifact.digest for shard, artifact in plan.media.items()}
    return dict(zip(index["shard"].to_pylist(), index["digest"].to_pylist(), strict=True)) == digests
