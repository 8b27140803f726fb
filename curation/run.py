"""`curate run`: lock, plan, record what is to be done, run the stages, close the books."""

from __future__ import annotations

import argparse
import shlex
import shutil
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from curation.pipeline import services_of, stage_contents, stages_of
from curation.pipeline_models import fetch
from curation.plan import Plan, check_output, make_plan
from curation.run_request import Job
from curation.sources.source_states import source_states
from runtime.attempts import forget, grow_old
from runtime.errors import MachineError, UserError
from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.runner import run_stages
from runtime.ray_runner.stage import StageSpec
from runtime.run_lock import held
from shards.artifact import Artifact
from shards.errors import ShardError
from shards.index import read_index, rebuild_index
from shards.manifest import Manifest, StageMark, read_manifest, read_stage, write_manifest, write_stage
from shards.reader import artifacts, committed_media, text_layers
from shards.schema import STATES
from shards.storage.store import Store
from shards.writer import commit_table


def run(arguments: argparse.Namespace) -> int:
    """Carry out `curate run`; the exit status is 0.

    Raises:
        UserError: as `curation.plan.make_plan` and `runtime.ray_runner.runner.run_stages`.
        MachineError: the machine gave up, or another run has taken the DIR over.
        KeyboardInterrupt: Ctrl-C was pressed; everything is closed by then.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    job = Job.of(arguments)
    check_output(job.store)
    with held(job.store, "--output"):
        report = execute(job, console, quiet=arguments.quiet)
    if report.fatal is not None:
        raise MachineError(report.fatal)
    if report.interrupted:
        raise KeyboardInterrupt
    return 0


def execute(job: Job, console: Console, *, quiet: bool) -> RunReport:
    """Plan and run `job`, and close the books whatever ended it; the caller holds the lock."""
    plan = make_plan(job)
    for warning in plan.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")
    if plan.is_done:
        if not _index_is_current(plan):  # the last run was killed at its very end
            _close(plan)
        console.print(f"nothing to do: all of {escape(job.store.root)} is up to date with pipeline {job.pipeline}")
        return RunReport()
    _prepare_scratch(job.scratch)
    _record(plan)
    stages = stages_of(
        job.settings,
        plan.places,
        plan.hashes,
        {stage.name: stage.todo for stage in plan.stages},
        videos_per_shard=plan.videos_per_shard,
    )
    try:
        report = _run_stages(plan, stages, quiet) if stages else RunReport()
    finally:
        forget(job.scratch / "attempts")  # all workers have ended, and not by what they worked on
        _close(plan)
    _summary(plan, console)
    return report


def _run_stages(plan: Plan, stages: list[StageSpec], quiet: bool) -> RunReport:
    """Run the stages on Ray."""
    job = plan.job
    services = services_of(job.settings, stages)
    fetch(job.settings, [stage.name for stage in plan.stages if stage.todo])
    return run_stages(
        stages,
        services,
        cluster=ClusterSettings(address=job.address),
        log_folder=Path(job.store.root) / "log" if job.store.is_local else job.scratch / "log",
        title=f"curate run {job.pipeline} -> {job.store.root}",
        quiet=quiet,
        stages_in_turn=True if job.in_turn else None,
    )


def _prepare_scratch(scratch: Path) -> None:
    """Remove what a killed run left, but for the notes of attempts.

    Raises:
        UserError: the folder can't be made.
    """
    try:
        scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--scratch {scratch}: can't be written to ({error.strerror}); choose another folder") from None
    grow_old(scratch / "attempts")
    for entry in scratch.iterdir():
        if entry.name in ("attempts", "pace"):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _record(plan: Plan) -> None:
    """Write down what is to be done before it is begun: manifest, sources, and each folder's hash."""
    job, store = plan.job, plan.job.store
    for folder in ("", "media", "keyframes", "ledger", plan.places.captions, plan.places.text):
        store.sweep(folder)
    contents = stage_contents(job.settings)
    if read_manifest(store) is None:
        settings = contents | {"resources": job.settings.model_dump(mode="json")["resources"]}
        write_manifest(store, Manifest(job.pipeline, settings, plan.videos_per_shard, plan.hashes.media))
    if plan.new_sources:
        commit_table(store, job.scratch, "sources.parquet", plan.sources, Artifact("sources", ""))
    for stage in plan.stages:
        mark = StageMark(stage.name, stage.hash, contents[stage.name])
        if read_stage(store, stage.folder) != mark:
            write_stage(store, stage.folder, mark)


def _close(plan: Plan) -> None:
    """Bring the index up to date; put a replaced layer in its place once all of it is there."""
    store = plan.job.store
    rebuild_index(store)
    if plan.replaces is None:
        return
    rebuilt = artifacts(store, plan.places.text)
    if set(committed_media(store)) <= set(rebuilt):
        store.replace_folder(plan.places.text, plan.replaces)


def _index_is_current(plan: Plan) -> bool:
    try:
        index = read_index(plan.job.store)
    except ShardError:
        return False
    digests = {shard: artifact.digest for shard, artifact in plan.media.items()}
    return dict(zip(index["shard"].to_pylist(), index["digest"].to_pylist(), strict=True)) == digests


def _summary(plan: Plan, console: Console) -> None:
    store = plan.job.store
    states = Counter(source.state for source in source_states(store))
    total = " + ".join(f"{states[state]} {state}" for state in STATES)
    console.print(f"sources: {states.total()} in = {total}")
    for command in _next_commands(store, plan.job.layer):
        console.print(f"  {command}", markup=False)


def _next_commands(store: Store, layer: str) -> list[str]:
    root = shlex.quote(store.root)
    which = f" --layer {layer}" if len(text_layers(store)) > 1 else ""
    return [
        f"curate inspect {root}{which}     curated captions",
        f"curate status {root}      what became of each source",
        f"curate check {root}       integrity of every byte and row",
    ]
