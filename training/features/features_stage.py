"""Extracts visual features of curated shards: a time series of rows for every root, once for all trainings.

    train-vidlankd features --shards DIR --encoder resnet152+r2plus1d_18@8fps

A stage like curation's, on the same runner: one shard in, one committed artifact out, resumable; a second run does
nothing and doesn't start Ray. `training.features.features_worker` does the work, `training.features.feature_store`
reads the result, the teacher trains on it. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from rich.console import Console

from runtime.attempts import DEATHS_ALLOWED, forget, grow_old
from runtime.errors import MachineError, UserError
from runtime.failures import OTHER_DEATHS_PER_SHARD
from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.progress import FAILED
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.runner import run_stages
from runtime.ray_runner.stage import PoolSettings, StageSpec
from runtime.run_lock import held
from runtime.settings import Runtime, content_hash
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.keys import shard_name
from shards.manifest import MANIFEST, Manifest, StageMark, read_manifest, read_stage, write_stage
from shards.pending_shards import Work, inputs_of, work_of
from shards.reader import artifacts, committed_media, read_table
from shards.storage.store import Store
from training.features.encoder_settings import EncoderSettings
from training.features.original_videos import found_since

STAGE_VERSION = 1
_RATE_SLACK = 0.99


class FeaturesSettings(EncoderSettings):
    """One set of visual features."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_+@][A-Za-z0-9_+@.-]{0,79}$")
    """Folder of the set below ``DIR/features``; None: after the encoder."""
    video: str = Field(default="shards", pattern="^(shards|original)$")
    """What is decoded: the stored roots (``shards``), or the files they were cut from (``original``), which the
    paper's 24 frames a second need."""
    originals: Runtime[Path | None] = None
    """Folder with the originals of sources that are no files of this machine."""
    pool: Runtime[PoolSettings | None] = None
    """Workers; None: one for each GPU, or one for each core."""

    @model_validator(mode="after")
    def _agree(self) -> FeaturesSettings:
        if self.originals is not None and self.video != "original":
            raise ValueError(f"originals={self.originals}: only read with video=original; set both or neither")
        if self.device is not None and self.device.startswith("cuda") and self.pool is not None and not self.pool.gpus:
            raise ValueError(f"device={self.device}: pool.gpus is 0; set pool.gpus=1, or leave device out")
        return self

    @property
    def set_name(self) -> str:
        """Name of the set."""
        return self.name or self.parsed.folder


@dataclass(frozen=True)
class _Plan:
    """What is to be done in one DIR."""

    store: Store
    manifest: Manifest
    folder: str
    """``features/<name>``."""
    building: str
    """The folder that is written; another one where a set is replaced."""
    content_hash: str
    encoder_identity: str
    work: Work
    made: Mapping[int, Artifact]


def extract(
    shards: Sequence[str],
    settings: FeaturesSettings,
    *,
    address: str | None = None,
    replace: bool = False,
    quiet: bool = False,
) -> int:
    """Extract the features of all shards of DIRs that lack them, or whose media has changed since.

    Args:
        shards: DIRs, by path or URL; one after another.
        settings: which features.
        address: Ray cluster to join; None: a Ray in this process.
        replace: where the set exists with other settings, build it anew beside the old one and swap when complete.
        quiet: show no live view; the summary line of each DIR is printed all the same.

    Returns:
        The exit status, 0: roots that can't be used are counted, not fatal.

    Raises:
        UserError: weights that can't be had, a rate that the shards don't hold, originals that can't be found, a set of
            other settings, no shards.
        ShardError: no DIR, or another run holds its features.
        MachineError: the machine gave up.
        KeyboardInterrupt: Ctrl-C was pressed; what is committed stays.
    """
    if not shards:
        raise UserError("--shards: name at least one folder that `curate run` wrote")
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    identity = _identity(settings)
    for root in shards:
        plan = _plan(Store(root), settings, identity, replace)
        if plan.work.todo or plan.building != plan.folder:
            with held(Store(plan.store.path("features")), "--shards"):
                plan = _plan(Store(root), settings, identity, replace)  # another run may have ended just now
                _carry_out(plan, settings, address, quiet)
        else:
            console.print(f"nothing to do: {plan.folder} of {plan.store.root} is up to date")
        _summary(plan, console)
    return 0


def _identity(settings: FeaturesSettings) -> str:
    if settings.originals is not None and not settings.originals.is_dir():
        raise UserError(f"originals={settings.originals}: there is no such folder")
    from training.features.encoder_registry import identity_of

    return identity_of(settings)


def _plan(store: Store, settings: FeaturesSettings, identity: str, replace: bool) -> _Plan:
    """Decide what one DIR needs. Reads it, changes nothing."""
    manifest = read_manifest(store)
    if manifest is None:
        raise ShardError(f"--shards {store.root}: no {MANIFEST}; this is no folder that `curate run` wrote")
    media = committed_media(store)
    if not media:
        raise UserError(f"--shards {store.root}: no shard has media yet; run `curate` first")
    folder = f"features/{settings.set_name}"
    hash_ = content_hash("features", STAGE_VERSION, identity, settings.video)
    mark = read_stage(store, folder)
    building = folder
    if mark is not None and mark.content_hash != hash_:
        if not replace:
            raise UserError(
                f"{folder} of {store.root} was made with {_described(mark)}: set another name to write beside it, "
                "or add --replace to make it anew and swap when complete"
            )
        building = f"features/.{settings.set_name}-{hash_[:8]}"
    made = _whole(store, building)
    inputs = {shard: inputs_of({"media": media}, shard) for shard in media}
    redone = found_since(store, building, made, settings.originals) if settings.video == "original" else set()
    work = work_of(sorted(media), made, hash_, inputs, redone)
    return _Plan(store, manifest, folder, building, hash_, identity, work, made)


def _whole(store: Store, folder: str) -> dict[int, Artifact]:
    """The artifacts of a folder of features whose arrays are there and have the size that was committed."""
    sizes = {name: entry.size for name, entry in store.list(folder).items()}
    return {
        shard: artifact
        for shard, artifact in artifacts(store, folder).items()
        if all(sizes.get(name.rpartition("/")[2]) == fact.size for name, fact in artifact.files.items())
    }


def _described(mark: StageMark) -> str:
    told = mark.settings
    return f"other settings (encoder={told.get('encoder')}, video={told.get('video')}, {mark.content_hash})"


def _carry_out(plan: _Plan, settings: FeaturesSettings, address: str | None, quiet: bool) -> None:
    """Extract what is missing; put a replaced set in its place once all of it is there. The caller holds the lock."""
    store = plan.store
    report = RunReport()
    if plan.work.todo:
        _check_originals(plan, settings)
        width = _width(plan, settings)
        store.sweep(plan.building)
        told = {"encoder": settings.encoder, "width": width, "encoder_identity": plan.encoder_identity}
        mark = StageMark("features", plan.content_hash, {**told, "video": settings.video})
        if read_stage(store, plan.building) != mark:
            write_stage(store, plan.building, mark)
        report = _run(plan, settings, address, quiet)
    if report.fatal is not None:
        raise MachineError(report.fatal)
    if report.interrupted:
        raise KeyboardInterrupt
    if plan.building != plan.folder:
        store.replace_folder(plan.building, plan.folder)


def _check_originals(plan: _Plan, settings: FeaturesSettings) -> None:
    """Refuse originals that no one could find: all of the first shard come from addresses, and no folder is named."""
    if settings.video != "original" or settings.originals is not None:
        return
    sources = _of_first_shard(plan, "source")
    if sources and all("://" in source for source in sources):
        raise UserError(
            f"video=original: the videos of {plan.store.root} come from addresses ({sources[0]}); set originals to "
            "the folder with their files, or video=shards"
        )


def _width(plan: _Plan, settings: FeaturesSettings) -> int:
    """Build the encoder once in this process: what is wrong with it is told before any worker starts."""
    from training.features.encoder_registry import open_encoder

    named = settings.parsed.fps
    if named is not None:
        _check_rate(plan, settings, named, 1)  # before its weights are fetched
    encoder = open_encoder(settings, "cpu")
    if named is None and encoder.frames_per_row > 1:
        _check_rate(plan, settings, encoder.fps, encoder.frames_per_row)
    return encoder.width


def _check_rate(plan: _Plan, settings: FeaturesSettings, wanted: float, frames_per_row: int) -> None:
    """Refuse, before any work, an encoder that sees more frames a second than the shards hold."""
    if settings.video != "shards":
        return
    held_fps = max(_of_first_shard(plan, "fps"), default=wanted)
    if held_fps >= wanted * _RATE_SLACK:
        return
    parsed, seconds = settings.parsed, math.ceil(100 * frames_per_row / held_fps) / 100
    remedy = f"encoder={parsed.at(held_fps)}" if parsed.fps is not None else f"seconds_per_row={seconds:g}"
    raise UserError(
        f"encoder={settings.encoder}: sees {wanted:g} frames a second, the shards of {plan.store.root} hold "
        f"{held_fps:g}; take {remedy}, or set video=original"
    )


def _of_first_shard(plan: _Plan, column: str) -> list[Any]:
    """A column of the media of the first shard that is to be done."""
    table = read_table(plan.store, f"media/{shard_name(plan.work.todo[0])}.parquet", [column])
    return list(table[column].to_pylist())


def _run(plan: _Plan, settings: FeaturesSettings, address: str | None, quiet: bool) -> RunReport:
    """Run the stage on Ray."""
    from training.features.features_worker import Place, features_worker

    store, name = plan.store, settings.set_name
    scratch = _scratch(store, name)
    grow_old(scratch / "attempts")
    place = Place(
        store.root,
        plan.building,
        plan.folder,
        str(scratch),
        plan.content_hash,
        settings.video == "original",
        None if settings.originals is None else str(settings.originals.absolute()),
    )
    deaths = OTHER_DEATHS_PER_SHARD.count + DEATHS_ALLOWED * plan.manifest.videos_per_shard
    build = partial(features_worker, place, settings.located())
    stage = StageSpec("features", build, settings.pool or _pool(settings), plan.work.todo, deaths=deaths)
    try:
        return run_stages(
            [stage],
            [],
            cluster=ClusterSettings(address=address),
            log_folder=Path(store.root) / "log" if store.is_local else scratch / "log",
            title=f"train-vidlankd features {name} -> {store.root}",
            quiet=quiet,
        )
    finally:
        forget(scratch / "attempts")  # all workers have ended, and not by what they worked on
        if store.is_local:
            shutil.rmtree(scratch, ignore_errors=True)


def _scratch(store: Store, name: str) -> Path:
    """Work in progress lies beside the set (commits are renames then), or on a local disk for an object store."""
    if store.is_local:
        return Path(store.root) / "features" / f".scratch-{name}"
    return Path(tempfile.gettempdir()) / f"clipgrove-{content_hash(store.root, name)}"


def _pool(settings: FeaturesSettings) -> PoolSettings:
    """One worker for each GPU with some cores to decode, or one for each core."""
    import torch

    cores = os.cpu_count() or 1
    gpus = torch.cuda.device_count() if settings.device != "cpu" else 0
    if not gpus:
        return PoolSettings(max=cores)
    each = max(1, min(4, cores // gpus))
    return PoolSettings(max=gpus, gpus=1.0, cpus=each, in_flight=each)


def _summary(plan: _Plan, console: Console) -> None:
    """One line on what the set holds now."""
    made = artifacts(plan.store, plan.folder)
    roots, rows = (int(sum(a.counts.get(name, 0) for a in made.values())) for name in ("clips", "rows"))
    classes = sorted({name for artifact in made.values() for name in artifact.counts if name.startswith(FAILED)})
    failed = {name.removeprefix(FAILED): int(sum(a.counts.get(name, 0) for a in made.values())) for name in classes}
    text = f"{plan.store.root}: {plan.folder} has {len(made)} shards, {roots} roots, {rows} rows"
    if failed:
        text += f"; {sum(failed.values())} roots failed: " + ", ".join(f"{n} {name}" for name, n in failed.items())
    if roots and not rows:
        text += "; no root has features, nothing can be trained on them"
    console.print(text)
