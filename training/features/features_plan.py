"""Plans the extraction of features for one DIR: which shards to do, and in which folder; reads the DIR only.

Also refuses settings that the shards can't serve: a frame rate that they don't have, originals that can't be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.errors import UserError
from runtime.settings import content_hash
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.keys import shard_name
from shards.manifest import MANIFEST, Manifest, StageMark, read_manifest
from shards.pending_shards import Work, inputs_of, work_of
from shards.reader import artifacts, binding_mark, committed_media, read_table
from shards.selections.marked_texts import find_selection
from shards.selections.selection import FOLDER as SELECTIONS
from shards.selections.selection import Selection
from shards.storage.store import Store
from training.features.features_settings import RATE_SLACK, FeaturesSettings
from training.features.original_videos import with_new_originals

STAGE_VERSION = 1


@dataclass(frozen=True)
class FeaturesPlan:
    """The work of one DIR."""

    store: Store
    manifest: Manifest
    folder: str
    """``features/<name>``."""
    building: str
    """The folder to write; differs from `folder` while a set is being replaced."""
    content_hash: str
    encoder_identity: str
    selection: Selection | None
    """Only roots with a clip that it keeps are encoded; None: all roots."""
    work: Work
    made: Mapping[int, Artifact]
    """The complete artifacts of `building`, by shard."""

    @property
    def up_to_date(self) -> bool:
        """True if nothing has to be extracted or swapped."""
        return not self.work.todo and self.building == self.folder

    def first_column(self, column: str) -> list[Any]:
        """Read a column of the media table of the first shard to do."""
        table = read_table(self.store, f"media/{shard_name(self.work.todo[0])}.parquet", [column])
        return list(table[column].to_pylist())


def plan_features(store: Store, settings: FeaturesSettings, identity: str, replace: bool) -> FeaturesPlan:
    """Plan the extraction for one DIR.

    Args:
        store: the DIR.
        settings: of the features.
        identity: of the encoder.
        replace: plan a new set beside one that was made with other settings.

    Raises:
        UserError: the set exists with other settings, or no shard has media.
        ShardError: not a DIR, or no such selection.
    """
    manifest = read_manifest(store)
    if manifest is None:
        raise ShardError(f"--shards {store.root}: no {MANIFEST}; this is no folder that `curate run` wrote")
    media = committed_media(store)
    if not media:
        raise UserError(f"--shards {store.root}: no shard has media yet; run `curate` first")
    folder = f"features/{settings.set_name}"
    hash_ = content_hash("features", STAGE_VERSION, identity, settings.video)
    mark = binding_mark(store, folder)
    building = folder
    if mark is not None and mark.content_hash != hash_:
        if not replace:
            raise UserError(
                f"{folder} of {store.root} was made with {_described(mark)}: set another name to write beside it, "
                "or add --replace to make it anew and swap when complete"
            )
        building = f"features/.{settings.set_name}-{hash_[:8]}"
    made = _complete_artifacts(store, building)
    selection = None if settings.selection is None else find_selection(store, "", settings.selection)
    shards = sorted(media if selection is None else set(media) & selection.shards)
    if not shards:
        raise UserError(f"--select {settings.selection}: has no shard of {store.root} that has media")
    inputs = {shard: inputs_of({"media": media}, shard) | _chosen_by(made.get(shard), selection) for shard in shards}
    redone = with_new_originals(store, building, made, settings.originals) if settings.video == "original" else set()
    work = work_of(shards, made, hash_, inputs, redone)
    return FeaturesPlan(
        store=store,
        manifest=manifest,
        folder=folder,
        building=building,
        content_hash=hash_,
        encoder_identity=identity,
        selection=selection,
        work=work,
        made=made,
    )


def check_originals(plan: FeaturesPlan, settings: FeaturesSettings) -> None:
    """Refuse `video=original` without a folder of originals if all sources of the first shard are URLs.

    Raises:
        UserError: no original can be found.
    """
    if settings.video != "original" or settings.originals is not None:
        return
    sources = plan.first_column("source")
    if sources and all("://" in source for source in sources):
        raise UserError(
            f"video=original: the videos of {plan.store.root} come from addresses ({sources[0]}); set originals to "
            "the folder with their files, or video=shards"
        )


def check_rate(plan: FeaturesPlan, settings: FeaturesSettings, wanted: float, frames_per_row: int) -> None:
    """Refuse an encoder that takes more frames per second than the shards have.

    Args:
        plan: of the DIR; at least one shard is to do.
        settings: of the features.
        wanted: frames per second that the encoder takes.
        frames_per_row: frames that a row covers.

    Raises:
        UserError: the shards have fewer; the message gives the setting that fits.
    """
    if settings.video != "shards":
        return
    stored = max(plan.first_column("fps"), default=wanted)
    if stored < wanted * RATE_SLACK:
        raise UserError(
            f"encoder={settings.encoder}: takes {wanted:g} frames a second, the shards of {plan.store.root} hold "
            f"{stored:g}; take {settings.parsed.lower_rate(stored, frames_per_row)}, or set video=original"
        )


def _complete_artifacts(store: Store, folder: str) -> dict[int, Artifact]:
    """Return the artifacts of a feature set whose arrays exist with the committed size."""
    sizes = {name: entry.size for name, entry in store.list(folder).items()}
    return {
        shard: artifact
        for shard, artifact in artifacts(store, folder).items()
        if all(sizes.get(name.rpartition("/")[2]) == fact.size for name, fact in artifact.files.items())
    }


def _chosen_by(made: Artifact | None, selection: Selection | None) -> dict[str, str]:
    """Return the selection as an input of features that lack roots; features of all roots fit any selection."""
    lacks_roots = made is not None and any(name.startswith(f"{SELECTIONS}/") for name in made.inputs)
    return {selection.file: selection.digest} if selection is not None and lacks_roots else {}


def _described(mark: StageMark) -> str:
    made = mark.settings
    return f"other settings (encoder={made.get('encoder')}, video={made.get('video')}, {mark.content_hash})"
