"""Decides which folder each stage writes, and refuses to mix artifacts of different settings in one folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation import stage_registry
from curation.run_request import RunRequest
from curation.stages.stage_definition import ShardStage, StageOutput, TableStage
from runtime.errors import UserError
from shards.reader import binding_mark
from shards.storage.store import Store


def stage_outputs(request: RunRequest) -> dict[str, StageOutput]:
    """Return the output of every stage of the pipeline, by name; those that are not asked for are inputs of others.

    Raises:
        UserError: a stage would write into a folder that was made with other settings, or a model can't be found.
    """
    outputs: dict[str, StageOutput] = {}
    for stage in stage_registry.STAGES:
        outputs[stage.name] = _output(stage, stage.hash(request.settings, outputs), request)
    return outputs


def _output(stage: ShardStage | TableStage, hash_: str, request: RunRequest) -> StageOutput:
    if isinstance(stage, TableStage):
        return StageOutput(stage.path, hash_)
    if stage.kind == "only":
        _check_only_folder(stage, hash_, request)
        return StageOutput(stage.path, hash_)
    return _set_folder(stage, hash_, request) if stage.kind == "set" else _layer_folder(stage, hash_, request)


def _check_only_folder(stage: ShardStage, hash_: str, request: RunRequest) -> None:
    mark = binding_mark(request.store, stage.path)
    if mark is None or mark.content_hash == hash_ or stage.name not in request.stages:
        return
    differing = _differences(mark.settings, stage.content(request.settings), stage.name)
    detail = "; ".join(differing[:3]) or "a model or the program has changed"
    raise UserError(
        f"--output {request.store.root}: its {stage.path} was made with other settings ({detail}); "
        "choose another --output, or set them as before with --set"
    )


def _set_folder(stage: ShardStage, hash_: str, request: RunRequest) -> StageOutput:
    """Return an existing folder that was made with these settings, otherwise one named after the layer."""
    made_with = {name: _made_with(request.store, f"{stage.path}/{name}") for name in request.store.folders(stage.path)}
    for name, made in made_with.items():
        if made == hash_:
            return StageOutput(f"{stage.path}/{name}", hash_)
    folder = f"{stage.path}/{request.layer}"
    if made_with.get(request.layer) and _users(stage) & set(request.stages):
        if not request.replace:
            raise _changed(folder, stage)
        return StageOutput(f"{folder}-{hash_[:8]}", hash_)
    return StageOutput(folder, hash_)


def _layer_folder(stage: ShardStage, hash_: str, request: RunRequest) -> StageOutput:
    """Return the layer's folder, or one beside it that will replace it when it is complete."""
    folder = f"{stage.path}/{request.layer}"
    made_with = _made_with(request.store, folder)
    if made_with in (None, hash_) or stage.name not in request.stages:
        return StageOutput(folder, hash_)
    if not request.replace:
        raise _changed(folder, stage)
    return StageOutput(f"{stage.path}/.{request.layer}-{hash_[:8]}", hash_, replaces=folder)


def _users(stage: ShardStage) -> set[str]:
    """Return the names of a stage and of all stages that read its tables."""
    return {stage.name, *(other.name for other in stage_registry.STAGES if stage.name in other.reads)}


def _changed(folder: str, stage: ShardStage) -> UserError:
    return UserError(
        f"{folder} was made with other {stage.name} settings: add --layer NAME to write beside it, "
        "or --replace to rebuild it and swap when complete"
    )


def _made_with(store: Store, folder: str) -> str | None:
    mark = binding_mark(store, folder)
    return None if mark is None else mark.content_hash


def _differences(before: Any, now: Any, where: str) -> list[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = sorted(set(before) | set(now))
        return [line for key in keys for line in _differences(before.get(key), now.get(key), f"{where}.{key}")]
    return [] if before == now else [f"{where}: {before!r} then, {now!r} now"]
