"""The records of a DIR around a run: manifest, sources and ``_stage.json`` before the work, index and swap after it."""

from __future__ import annotations

from dataclasses import replace

from curation.pipeline import stage_contents
from curation.plan import RunPlan
from curation.sources.source_rows import SOURCES_TABLE
from curation.stages.stage_definition import ShardStage
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.index import read_index, rebuild_index
from shards.manifest import Manifest, StageMark, read_manifest, read_stage, write_manifest, write_stage
from shards.reader import artifacts, committed_media
from shards.writer import commit_table


def begin(plan: RunPlan) -> None:
    """Write the sources, the manifest, and the hash of each folder before the work begins.

    The sources come first: a DIR with a manifest or media but no sources has lost them, and is refused.
    """
    request, store = plan.request, plan.request.store
    for folder in ("", "keyframes", "ledger", *(stage.folder for stage in plan.stages)):
        store.sweep(folder)
    contents = stage_contents(request.settings)
    if plan.sources.new:
        commit_table(store, request.scratch, SOURCES_TABLE, plan.sources.table, Artifact("sources", ""))
    manifest, largest = read_manifest(store), plan.sources.largest_shard
    if manifest is None or ("media" in request.stages and manifest.media_hash != plan.outputs["media"].hash):
        settings = contents | {"resources": request.settings.model_dump(mode="json")["resources"]}
        media = plan.outputs["media"].hash
        write_manifest(store, Manifest(request.pipeline, settings, plan.sources.videos_per_shard, media))
    elif manifest.videos_per_shard < largest:
        write_manifest(store, replace(manifest, videos_per_shard=largest))
    for stage in plan.stages:
        mark = StageMark(stage.name, stage.output.hash, contents[stage.name])
        if isinstance(stage.stage, ShardStage) and read_stage(store, stage.folder) != mark:
            write_stage(store, stage.folder, mark)


def finish(plan: RunPlan) -> None:
    """Bring the index up to date, and swap in a replaced layer if all of it is there."""
    store = plan.request.store
    rebuild_index(store)
    for output in plan.replaced:
        assert output.replaces is not None
        if set(committed_media(store)) <= set(artifacts(store, output.path)):
            store.replace_folder(output.path, output.replaces)


def is_finished(plan: RunPlan) -> bool:
    """Return True if the index describes the media of the DIR: the last run was not killed before `finish`."""
    try:
        index = read_index(plan.request.store)
    except ShardError:
        return False
    digests = {shard: artifact.digest for shard, artifact in plan.media.items()}
    return dict(zip(index["shard"].to_pylist(), index["digest"].to_pylist(), strict=True)) == digests
