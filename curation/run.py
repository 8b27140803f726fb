"""`curate run`: lock, plan, record what is to be done, run the stages, close the books."""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from pathlib import Path

from rich.console import Console

from curation.job import Job
from curation.models import fetch
from curation.pipeline import services_of, stage_contents, stages_of
from curation.plan import Plan, check_output, make_plan
from curation.status import source_states
from runtime.cluster import ClusterSettings
from runtime.errors import MachineError, is_machine_fault
from runtime.runner import RunReport, run_stages
from runtime.stage import StageSpec
from shards.artifact import Artifact
from shards.index import rebuild_index
from shards.lock import Lock
from shards.manifest import Manifest, StageMark, read_manifest, write_manifest, write_stage
from shards.reader import artifacts, committed_media
from shards.schema import STATES
from shards.store import Store
from shards.writer import commit_table


def run(arguments: argparse.Namespace) -> int:
    """Carry out `curate run`; the exit status (0, or 1 where the machine gave up)."""
    console = Console(stderr=True, highlight=False)
    job = Job.of(arguments)
    check_output(job.store)
    with Lock(job.store):
        try:
            report = execute(job, console, quiet=arguments.quiet)
        except OSError as error:
            if not is_machine_fault(error):
                raise
            raise MachineError(str(error)) from error
    if report.fatal is not None:
        raise MachineError(report.fatal)
    if report.interrupted:
        raise KeyboardInterrupt
    return 0


def execute(job: Job, console: Console, *, quiet: bool) -> RunReport:
    """Plan and run `job`, and close the books whatever ended it; the caller holds the lock."""
    plan = make_plan(job)
    for warning in plan.warnings:
        console.print(f"[yellow]warning:[/yellow] {warning}")
    if plan.is_done:
        console.print(f"nothing to do: all of {job.store.root} is up to date with pipeline {job.pipeline}")
        return RunReport()
    _prepare_scratch(job.scratch)
    _record(plan)
    stages = stages_of(job.settings, plan.places, plan.hashes, {stage.name: stage.todo for stage in plan.stages})
    report = _run_stages(plan, stages, quiet) if stages else RunReport()
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
    """Remove what a killed run left, but for the notes of attempts."""
    scratch.mkdir(parents=True, exist_ok=True)
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
        write_stage(store, stage.folder, StageMark(stage.name, stage.hash, contents[stage.name]))


def _close(plan: Plan) -> None:
    """Bring the index up to date; put a replaced layer in its place once all of it is there."""
    store = plan.job.store
    rebuild_index(store)
    if plan.replaces is None:
        return
    rebuilt = artifacts(store, plan.places.text)
    if set(committed_media(store)) <= set(rebuilt):
        store.replace_folder(plan.places.text, plan.replaces)


def _summary(plan: Plan, console: Console) -> None:
    store = plan.job.store
    states = Counter(row["state"] for row in source_states(store))
    total = " + ".join(f"{states[state]} {state}" for state in STATES)
    console.print(f"{states.total()} sources = {total}")
    for command in _next_commands(store):
        console.print(f"  {command}", soft_wrap=True)


def _next_commands(store: Store) -> list[str]:
    return [
        f"curate inspect {store.root}     curated captions",
        f"curate status {store.root}      what became of each source",
        f"curate check {store.root}       integrity of every byte and row",
    ]
