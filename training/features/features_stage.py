"""Extracts visual features of curated shards: a time series of rows for every root, once for all trainings.

    train-vidlankd features --shards DIR --encoder resnet152+r2plus1d_18@8fps

A stage like curation's, on the same runner: one shard in, one committed artifact out, resumable; a second run does
nothing and doesn't start Ray. `training.features.features_worker` does the work, `training.features.feature_store`
reads the result, the teacher is trained on it. Ray and torch are imported only when work starts.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from runtime.attempts import DEATHS_ALLOWED, age_notes, remove_notes
from runtime.errors import MachineError, UserError
from runtime.network_mounts import is_on_network
from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.display.progress import FAILED
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.runner import run_stages
from runtime.ray_runner.stage import PoolSettings, StageSpec
from runtime.retry_limits import OTHER_DEATHS_PER_SHARD
from runtime.run_lock import locked_dir
from runtime.settings import content_hash
from shards.manifest import StageMark, read_stage, write_stage
from shards.reader import artifacts
from shards.storage.store import Store
from training.features.features_plan import FeaturesPlan, check_originals, check_rate, plan_features
from training.features.features_settings import FeaturesSettings


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
        settings: of the features.
        address: Ray cluster to join; None: a Ray in this process.
        replace: if the set exists with other settings, make a new one beside it and swap when complete.
        quiet: show no live view; the summary line of each DIR is printed in any case.

    Returns:
        The exit status, 0: roots that can't be used are counted, not fatal.

    Raises:
        UserError: weights are missing, the shards lack the frame rate, originals can't be found, the set exists with
            other settings, or no shards are given.
        ShardError: not a DIR, or another run writes its features.
        MachineError: this machine is at fault.
        KeyboardInterrupt: Ctrl-C was pressed; committed shards stay.
    """
    if not shards:
        raise UserError("--shards: name at least one folder that `curate run` wrote")
    if settings.originals is not None and not settings.originals.is_dir():
        raise UserError(f"originals={settings.originals}: there is no such folder")
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    identity = settings.identity
    for root in shards:
        plan = plan_features(Store(root), settings, identity, replace)
        if plan.up_to_date:
            console.print(f"nothing to do: {plan.folder} of {plan.store.root} is up to date")
        else:
            with locked_dir(Store(plan.store.path("features")), "--shards"):
                plan.store.mend_folders("features")  # a killed run may have been replacing a set
                plan = plan_features(Store(root), settings, identity, replace)  # another run may have ended just now
                _carry_out(plan, settings, address, quiet)
        console.print(_summary(plan))
    return 0


def _carry_out(plan: FeaturesPlan, settings: FeaturesSettings, address: str | None, quiet: bool) -> None:
    """Extract the missing shards; swap a replaced set when it is complete. The caller holds the lock."""
    store = plan.store
    report = RunReport()
    if plan.work.todo:
        check_originals(plan, settings)
        width = _width(plan, settings)
        store.sweep(plan.building)
        made_with = {"encoder": settings.encoder, "width": width, "encoder_identity": plan.encoder_identity}
        mark = StageMark("features", plan.content_hash, {**made_with, "video": settings.video})
        if read_stage(store, plan.building) != mark:
            write_stage(store, plan.building, mark)
        report = _run(plan, settings, address, quiet)
    if report.fatal is not None:
        raise MachineError(report.fatal)
    if report.interrupted:
        raise KeyboardInterrupt
    if plan.building != plan.folder:
        store.replace_folder(plan.building, plan.folder)


def _width(plan: FeaturesPlan, settings: FeaturesSettings) -> int:
    """Return the encoder's width; it is built once in this process so that its errors come before workers start."""
    from training.features.encoders.encoder_registry import open_encoder

    named = settings.parsed.fps
    if named is not None:
        check_rate(plan, settings, named, 1)  # before its weights are fetched
    encoder = open_encoder(settings, "cpu")
    if named is None and encoder.frames_per_row > 1:
        check_rate(plan, settings, encoder.fps, encoder.frames_per_row)
    return encoder.width


def _run(plan: FeaturesPlan, settings: FeaturesSettings, address: str | None, quiet: bool) -> RunReport:
    """Run the stage on Ray."""
    from training.features.features_worker import FeaturesJob, features_worker

    store, name = plan.store, settings.set_name
    scratch = _scratch(store, name)
    age_notes(scratch / "attempts")
    job = FeaturesJob(
        root=store.root,
        folder=plan.building,
        name=plan.folder,
        scratch=str(scratch),
        content_hash=plan.content_hash,
        encoder=settings.located(),
        selection=plan.selection,
        from_originals=settings.video == "original",
        originals=None if settings.originals is None else str(settings.originals.absolute()),
    )
    stage = StageSpec(
        "features",
        partial(features_worker, job),
        settings.pool or _pool(settings),
        plan.work.todo,
        deaths=OTHER_DEATHS_PER_SHARD.count + DEATHS_ALLOWED * plan.manifest.videos_per_shard,
    )
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
        remove_notes(scratch / "attempts")  # all workers have ended, and no root was the cause
        if store.is_local:
            shutil.rmtree(scratch, ignore_errors=True)


def _scratch(store: Store, name: str) -> Path:
    """Return the folder for work in progress: beside the set (a commit is a rename), or on a disk of this machine.

    It is the latter for a DIR in an object store or on a network file system.
    """
    if store.is_local and not is_on_network(Path(store.root)):
        return Path(store.root) / "features" / f".scratch-{name}"
    return Path(tempfile.gettempdir()) / f"clipgrove-{content_hash(store.root, name)}"


def _pool(settings: FeaturesSettings) -> PoolSettings:
    """Return one worker per GPU with up to four cores to decode, or one per core."""
    import torch

    cores = os.cpu_count() or 1
    gpus = torch.cuda.device_count() if settings.device != "cpu" else 0
    if not gpus:
        return PoolSettings(max=cores)
    each = max(1, min(4, cores // gpus))
    return PoolSettings(max=gpus, gpus=1.0, cpus=each, in_flight=each)


def _summary(plan: FeaturesPlan) -> str:
    """Describe in one line what the set has now."""
    made = artifacts(plan.store, plan.folder)
    roots, rows = (int(sum(a.counts.get(name, 0) for a in made.values())) for name in ("clips", "rows"))
    classes = sorted({name for artifact in made.values() for name in artifact.counts if name.startswith(FAILED)})
    failed = {name.removeprefix(FAILED): int(sum(a.counts.get(name, 0) for a in made.values())) for name in classes}
    text = f"{plan.store.root}: {plan.folder} has {len(made)} shards, {roots} roots, {rows} rows"
    if failed:
        text += f"; {sum(failed.values())} roots failed: " + ", ".join(f"{n} {name}" for name, n in failed.items())
    if roots and not rows:
        text += "; no root has features, nothing can be trained on them"
    return text
