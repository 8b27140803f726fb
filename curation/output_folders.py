"""Decides which folder each stage writes, and refuses to mix artifacts of different settings in one folder.

Settings here include the revisions of models: a hub's branch may move between two runs that add to the same folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from curation import stage_registry
from curation.pipeline_models import used_models
from curation.run_request import RunRequest
from curation.stages.pinned_settings import pinned_settings
from curation.stages.stage_definition import ShardStage, StageOutput, TableStage
from runtime.errors import UserError
from runtime.models.model_revisions import ModelRevisions, moves, pinned
from shards.errors import ShardError
from shards.manifest import StageMark
from shards.reader import binding_mark
from shards.selections.selection import recipe_of


def stage_outputs(request: RunRequest, today: ModelRevisions) -> dict[str, StageOutput]:
    """Return the output of every stage of the pipeline, by name; those that are not asked for are inputs of others.

    A folder that holds artifacts keeps the revisions of models that it was begun with, also when it is replaced; a new
    folder gets those of `today`.

    Raises:
        UserError: a stage would write into a folder that was made with other settings, or a model can't be found.
    """
    outputs: dict[str, StageOutput] = {}
    for stage in stage_registry.STAGES:
        outputs[stage.name] = _output(_StageToPlace(stage, request, today, dict(outputs)))
    return outputs


@dataclass(frozen=True)
class _StageToPlace:
    """A stage whose folder is to be chosen."""

    stage: ShardStage | TableStage
    request: RunRequest
    today: ModelRevisions
    before: Mapping[str, StageOutput]
    """The outputs of the stages before it."""

    @property
    def is_asked(self) -> bool:
        """True if the run makes artifacts of this stage."""
        return self.stage.name in self.request.stages

    def version(self, mark: StageMark | None) -> _Version:
        """Return what the stage makes in the folder with this record, or in a new folder."""
        recorded = {} if mark is None else mark.models
        uris = used_models(self.request.settings, [self.stage.name]).values()
        revisions = {uri: recorded[uri] if moves(uri) and uri in recorded else self.today.of(uri) for uri in uris}
        settings = pinned_settings(self.request.settings, revisions)
        return _Version(self.stage.hash(settings, self.before), revisions)

    def content(self, version: _Version) -> Mapping[str, Any]:
        """Return the settings that decide the content, with the models of a version."""
        return self.stage.content(pinned_settings(self.request.settings, version.revisions))


class _Version(NamedTuple):
    """The content hash of a stage with certain revisions of its models."""

    hash: str
    revisions: Mapping[str, str]

    def output(self, path: str, replaces: str | None = None) -> StageOutput:
        """Return the output in a folder."""
        return StageOutput(path, self.hash, replaces, self.revisions)

    def made(self, mark: StageMark | None) -> bool:
        """Return True if the folder with this record was made by this version."""
        return mark is not None and mark.content_hash == self.hash


def _output(place: _StageToPlace) -> StageOutput:
    if isinstance(place.stage, TableStage):
        if "{selection}" in place.stage.path and place.is_asked:
            _refuse_recipe(place.request)
        return place.version(None).output(place.stage.path.replace("{selection}", place.request.selection))
    if place.stage.kind == "only":
        return _only_folder(place, place.stage)
    return _set_folder(place, place.stage) if place.stage.kind == "set" else _layer_folder(place, place.stage)


def _refuse_recipe(request: RunRequest) -> None:
    """Refuse to write over a selection that `curate select` made: its recipe would be lost."""
    name, root = request.selection, request.store.root
    with suppress(FileNotFoundError, ShardError):  # a table that can't be read is made again
        if recipe_of(request.store, name) is not None:
            raise UserError(
                f"--select {name}: `curate select` made it by a recipe; choose another name, or make it again with "
                f"`curate select {root} --name {name}`"
            )


def _only_folder(place: _StageToPlace, stage: ShardStage) -> StageOutput:
    mark = binding_mark(place.request.store, stage.path)
    version = place.version(mark)
    if mark is None or version.made(mark) or not place.is_asked:
        return version.output(stage.path)
    differing = _differences(mark.settings, place.content(version), stage.name)
    detail = "; ".join(differing[:3]) or "a model or the program has changed"
    raise UserError(
        f"--output {place.request.store.root}: its {stage.path} was made with other settings ({detail}); "
        "choose another --output, or set them as before with --set"
    )


def _set_folder(place: _StageToPlace, stage: ShardStage) -> StageOutput:
    """Return an existing folder that was made with these settings, otherwise one named after the layer."""
    request = place.request
    marks = {name: binding_mark(request.store, f"{stage.path}/{name}") for name in request.store.folders(stage.path)}
    for name, mark in marks.items():
        if mark is not None and (version := place.version(mark)).made(mark):
            return version.output(f"{stage.path}/{name}")
    folder, mark = f"{stage.path}/{request.layer}", marks.get(request.layer)
    version = place.version(mark)
    if mark is not None and _users(stage, request) & set(request.stages):
        if not request.replace:
            raise _changed(folder, stage)
        return version.output(f"{folder}-{version.hash[:8]}")
    return version.output(folder)


def _layer_folder(place: _StageToPlace, stage: ShardStage) -> StageOutput:
    """Return the folder of its name, or one beside it that will replace it when it is complete."""
    name = stage.folder_name(place.request.settings) or place.request.layer
    folder = f"{stage.path}/{name}"
    mark = binding_mark(place.request.store, folder)
    version = place.version(mark)
    if mark is None or version.made(mark) or not place.is_asked:
        return version.output(folder)
    if not place.request.replace:
        raise _changed(folder, stage)
    return version.output(f"{stage.path}/.{name}-{version.hash[:8]}", folder)


def replaceable_folders() -> list[str]:
    """Return the folders of a DIR in which ``--replace`` swaps whole folders."""
    stages = (stage for stage in stage_registry.STAGES if isinstance(stage, ShardStage))
    return [stage.path for stage in stages if stage.kind == "layer"]


def moved_models(request: RunRequest, outputs: Mapping[str, StageOutput], today: ModelRevisions) -> list[str]:
    """Return one line for each model whose branch has moved since folders of this run were begun."""
    lines = []
    for uri, now in today.found.items():
        asked = [output for name, output in outputs.items() if name in request.stages]
        kept = {output.final_path: revision for output in asked if (revision := output.revisions.get(uri, now)) != now}
        if kept and isinstance(now, str):
            folders = ", ".join(f"{folder} ({str(revision)[:12]})" for folder, revision in kept.items())
            lines.append(
                f"{uri} has moved to {now[:12]}; what was begun before keeps its revision: {folders}. "
                f"A new --layer takes the new one; name it as {pinned(uri, now)} to use it elsewhere"
            )
    return lines


def _users(stage: ShardStage, request: RunRequest) -> set[str]:
    """Return the names of a stage and of all stages that read its tables."""
    readers = (other for other in stage_registry.STAGES if stage.name in other.inputs(request.settings))
    return {stage.name, *(other.name for other in readers)}


def _changed(folder: str, stage: ShardStage) -> UserError:
    return UserError(
        f"{folder} was made with other {stage.name} settings: {stage.renaming} to write beside it, "
        "or --replace to rebuild it and swap when complete"
    )


def _differences(before: Any, now: Any, where: str) -> list[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = sorted(set(before) | set(now))
        return [line for key in keys for line in _differences(before.get(key), now.get(key), f"{where}.{key}")]
    return [] if before == now else [f"{where}: {before!r} then, {now!r} now"]
