"""Plans the scores of a model for one DIR: which shards to score, and in which folder; reads the DIR only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from runtime.errors import UserError, nearest
from runtime.settings import content_hash
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.manifest import MANIFEST, StageMark, read_manifest
from shards.pending_shards import Work, inputs_of, work_of
from shards.reader import artifacts, binding_mark, committed_media, text_layers
from shards.storage.store import Store
from training.data.sources.shard_tables import TEXT_COLUMNS

SCORES_VERSION: Final = 1
FAILED: Final = "failed_"
"""Counts of clips that could not be decoded begin with it."""


@dataclass(frozen=True)
class ScoreRequest:
    """The scores to make: the model, and which texts its vectors are compared with."""

    name: str
    """Name of the score set: the folder in ``DIR/scores``."""
    model: str
    """The model as the user named it."""
    weights: str
    """Hash of the model's weights."""
    frames: int
    """Frames a clip."""
    columns: tuple[str, ...]
    """Text columns in order of preference."""
    layer: str | None = None
    """Text layer; None: the only one of the DIR, or no texts if it has none."""


@dataclass(frozen=True)
class ScoresPlan:
    """The work of one DIR."""

    store: Store
    layer: str | None
    folder: str
    """``scores/<name>``."""
    building: str
    """The folder to write; differs from `folder` while a score set is being replaced."""
    content_hash: str
    work: Work
    inputs: Mapping[int, Mapping[str, str]]
    """Digest of each table that a shard's scores are made from, by name."""

    @property
    def up_to_date(self) -> bool:
        """True if nothing has to be scored or swapped."""
        return not self.work.todo and self.building == self.folder


def plan_scores(store: Store, request: ScoreRequest, *, replace: bool = False) -> ScoresPlan:
    """Plan the scores for one DIR.

    Args:
        store: the DIR.
        request: the scores to make.
        replace: plan a new score set beside one that was made with other settings.

    Raises:
        UserError: the score set exists with other settings, a column holds no text, no shard has media, or the DIR has
            several text layers and none is named.
        ShardError: not a DIR.
    """
    if read_manifest(store) is None:
        raise ShardError(f"--shards {store.root}: no {MANIFEST}; this is no folder that `curate run` wrote")
    media = committed_media(store)
    if not media:
        raise UserError(f"--shards {store.root}: no shard has media yet; run `curate` first")
    _check_columns(request.columns)
    layer = _layer(store, request.layer)
    folder = f"scores/{request.name}"
    hash_ = content_hash("model scores", SCORES_VERSION, request.weights, request.frames, request.columns, layer)
    building = _building(store, folder, hash_, request, replace)
    made_from = {"media": media} | ({f"text/{layer}": artifacts(store, f"text/{layer}")} if layer else {})
    inputs = {shard: inputs_of(made_from, shard) for shard in media}
    work = work_of(sorted(media), complete_artifacts(store, building), hash_, inputs)
    return ScoresPlan(store, layer, folder, building, hash_, work, inputs)


def complete_artifacts(store: Store, folder: str) -> dict[int, Artifact]:
    """Return the artifacts of a score set whose arrays exist with the committed size."""
    sizes = {name: entry.size for name, entry in store.list(folder).items()}
    return {
        shard: artifact
        for shard, artifact in artifacts(store, folder).items()
        if all(sizes.get(name.rpartition("/")[2]) == fact.size for name, fact in artifact.files.items())
    }


def _check_columns(columns: Sequence[str]) -> None:
    for column in columns:
        if column not in TEXT_COLUMNS:
            raise UserError(f"--text {column}: not a column with text{nearest(column, TEXT_COLUMNS)}")


def _layer(store: Store, asked: str | None) -> str | None:
    layers = text_layers(store)
    if asked is not None and asked not in layers:
        raise UserError(f"--layer {asked}: {store.root} has no such text layer{nearest(asked, layers)}")
    if asked is None and len(layers) > 1:
        raise UserError(f"--shards {store.root}: has several text layers; name one with --layer: {', '.join(layers)}")
    return asked or next(iter(layers), None)


def _building(store: Store, folder: str, hash_: str, request: ScoreRequest, replace: bool) -> str:
    """Return the folder to write.

    Raises:
        UserError: the score set was made by another model or with other settings.
    """
    mark = binding_mark(store, folder)
    if mark is None or mark.content_hash == hash_:
        return folder
    if not replace:
        raise UserError(
            f"--name {request.name}: {folder} of {store.root} holds other scores ({_described(mark)}); take another "
            "name, or add --replace to score again and swap when complete"
        )
    return f"scores/.{request.name}-{hash_[:8]}"


def _described(mark: StageMark) -> str:
    made: Mapping[str, Any] = mark.settings
    if "model" not in made:
        return f"of the stage {mark.stage}"
    return f"model={made['model']}, frames={made.get('frames')}, {mark.content_hash}"
