"""Folders and the revisions of models: what was begun keeps its revisions, a new folder takes today's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.curation_requests import request_of

from curation import stage_registry
from curation.grounding.parsing.claim_parser import ENGLISH_PARSER
from curation.output_folders import moved_models, stage_outputs
from curation.pipeline import engine_pools, service_specs, stage_specs
from curation.pipeline_models import pinned_models, used_models
from curation.run_request import RunRequest
from curation.stages.pinned_settings import pinned_settings
from curation.stages.stage_definition import ShardStage, StageContext, StageOutput
from runtime.errors import UserError
from runtime.models.model_revisions import ModelRevisions, look_up, moves
from runtime.models.model_uri import revision_of
from shards.manifest import StageMark, write_stage
from shards.storage.store import Store

OLD, NEW = "a" * 40, "b" * 40
VLM = "hf://Qwen/Qwen3.5-9B"
JUDGE = "hf://google/gemma-4-12B-it"
ASR = "hf://Systran/faster-whisper-large-v3"
PARSER = {ENGLISH_PARSER: revision_of(ENGLISH_PARSER)}


def revisions(request: RunRequest, commit: str) -> ModelRevisions:
    """Return the revisions of all models, with every branch of the hub at `commit`."""
    uris = used_models(request.settings, [stage.name for stage in stage_registry.STAGES]).values()
    return look_up(uris, lambda uri: commit if moves(uri) else revision_of(uri))


def context_of(request: RunRequest, outputs: Mapping[str, StageOutput]) -> StageContext:
    """Return what workers of a run are built from."""
    return StageContext(request.store.root, str(request.scratch), request.settings, outputs)


@pytest.fixture
def begun(tmp_path: Path) -> RunRequest:
    """A run of the pipeline `grounded` into a DIR that holds one shard of each stage, made with the OLD revisions."""
    request = request_of("grounded", tmp_path)
    for name, output in stage_outputs(request, revisions(request, OLD)).items():
        (stage,) = (stage for stage in stage_registry.STAGES if stage.name == name)
        if isinstance(stage, ShardStage):
            write_stage(Store(tmp_path), output.path, StageMark(name, output.hash, {}, output.revisions))
            (tmp_path / output.path / "0000000.parquet").write_bytes(b"")
    return request


def test_a_moved_branch_leaves_every_folder_in_force_and_is_told_in_one_line_a_model(begun: RunRequest) -> None:
    before = stage_outputs(begun, revisions(begun, OLD))
    outputs = stage_outputs(begun, revisions(begun, NEW))
    assert {name: outputs[name] for name in ("media", "caption", "rewrite")} == {
        name: before[name] for name in ("media", "caption", "rewrite")
    }
    lines = moved_models(begun, outputs, revisions(begun, NEW))
    assert len(lines) == 3 and all("\n" not in line for line in lines)
    (line,) = (line for line in lines if line.startswith(f"{VLM} has moved to {NEW[:12]}"))
    assert f"captions/grounded ({OLD[:12]})" in line and f"text/grounded ({OLD[:12]})" in line
    assert moved_models(begun, before, revisions(begun, OLD)) == []


def test_a_hub_that_is_away_does_not_matter_to_folders_that_are_begun(begun: RunRequest) -> None:
    known = revisions(begun, OLD).found
    error = UserError("the hub can't be reached")
    away = ModelRevisions({uri: error if moves(uri) else known[uri] for uri in known})
    outputs = stage_outputs(begun, away)
    assert outputs["media"].revisions == {ASR: OLD}
    assert moved_models(begun, outputs, away) == []
    with pytest.raises(UserError, match="the hub can't be reached"):
        stage_outputs(replace(begun, layer="second"), away)


def test_a_new_layer_takes_the_new_revision_over_the_captions_that_are_there(begun: RunRequest) -> None:
    request = replace(begun, layer="second")
    outputs = stage_outputs(request, revisions(request, NEW))
    assert (outputs["caption"].path, outputs["caption"].revisions[VLM]) == ("captions/grounded", OLD)
    assert (outputs["rewrite"].path, outputs["rewrite"].revisions) == ("text/second", {VLM: NEW, JUDGE: NEW} | PARSER)


def test_stages_that_need_two_revisions_of_a_model_get_two_pools(begun: RunRequest) -> None:
    request = replace(begun, layer="second")
    context = context_of(request, stage_outputs(request, revisions(request, NEW)))
    pools = engine_pools(context, ["caption", "rewrite"])
    caption, rewrite = pools["caption", "vlm"], pools["rewrite", "vlm"]
    assert (caption.settings.local_model, rewrite.settings.local_model) == (f"{VLM}@{OLD}", f"{VLM}@{NEW}")
    assert caption.name == "vlm" != rewrite.name
    specs = stage_specs(context, {"caption": [0], "rewrite": [0]}, videos_per_shard=1)
    assert [spec.services for spec in specs] == [("vlm",), (rewrite.name, "judge")]
    services = service_specs(context, specs)
    assert [service.name for service in services] == ["vlm", rewrite.name, "judge"]
    assert services[0].pool == services[1].pool == request.settings.pool("vlm")
    assert {f"{VLM}@{OLD}", f"{VLM}@{NEW}"} <= set(pinned_models(context, ["caption", "rewrite"]).values())


def test_stages_with_the_same_revision_share_one_pool(begun: RunRequest) -> None:
    context = context_of(begun, stage_outputs(begun, revisions(begun, NEW)))
    specs = stage_specs(context, {"media": [0], "caption": [0], "rewrite": [0]}, videos_per_shard=1)
    assert [service.name for service in service_specs(context, specs)] == ["asr", "vlm", "judge"]


def test_a_replaced_layer_keeps_its_revision_so_that_a_killed_run_can_go_on(begun: RunRequest) -> None:
    changed = begun.settings.model_copy(update={"val_percent": 50.0})
    rewrite = {"rewrite": changed.model_dump()["rewrite"] | {"max_claims": 2}}
    request = replace(begun, replace=True, settings=type(changed).model_validate({**changed.model_dump(), **rewrite}))
    first = stage_outputs(request, revisions(request, OLD))["rewrite"]
    again = stage_outputs(request, revisions(request, NEW))["rewrite"]
    assert first == again and again.revisions == {VLM: OLD, JUDGE: OLD} | PARSER and again.replaces == "text/grounded"


def test_a_folder_without_an_artifact_takes_todays_revision(begun: RunRequest) -> None:
    (Path(begun.store.root) / "text/grounded/0000000.parquet").unlink()
    assert stage_outputs(begun, revisions(begun, NEW))["rewrite"].revisions == {VLM: NEW, JUDGE: NEW} | PARSER


def test_a_branch_and_its_commit_make_the_same(begun: RunRequest) -> None:
    settings = pinned_settings(begun.settings, {VLM: OLD, JUDGE: OLD, ASR: OLD})
    exact = replace(begun, settings=settings)
    assert stage_outputs(exact, revisions(exact, NEW))["rewrite"].hash == (
        stage_outputs(begun, revisions(begun, OLD))["rewrite"].hash
    )


def test_settings_without_a_named_model_stay_the_same_object(begun: RunRequest) -> None:
    assert pinned_settings(begun.settings, {"hf://other/model": OLD}) is begun.settings
