"""`curate run`: check, plan, write down what is to be done, run the stages, finish the DIR."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape

from curation import dir_bookkeeping
from curation.grounding.measurement.judge_drift import layer_drift
from curation.late_sources import late_request, late_sources, with_late_round
from curation.media.in_flight.shard_scratch import IN_FLIGHT_FOLDER, remove_shards_but
from curation.media.in_flight.shared_parts import SharedPlace
from curation.media.media_settings import MediaSettings
from curation.output_folders import replaceable_folders
from curation.pipeline import service_specs, stage_specs
from curation.pipeline_models import fetch_models
from curation.plan import RunPlan, make_plan
from curation.preflight import check_cluster, check_output, check_run
from curation.reporting.prediction import adopt_prediction
from curation.reporting.run_logs import commit_logs, log_folder
from curation.run_request import LOCAL, RunRequest
from curation.run_summary import print_summary
from curation.selection.removal.removal import finish_removal
from curation.text.rewrite_settings import RewriteSettings
from runtime.attempts import age_notes, remove_notes
from runtime.errors import MachineError, UserError
from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.runner import run_stages
from runtime.ray_runner.table_stage import AnyStageSpec
from runtime.retry_limits import LATE_ROUNDS
from runtime.run_lock import locked_dir
from runtime.terminal import SafeConsole

POSTPONED: Final = 3
"""Exit status of a run that has done what it could: sources are left, because their hosts refused others."""


def run(arguments: argparse.Namespace) -> int:
    """Carry out `curate run`; return exit status 0, or 3 if sources were postponed.

    Raises:
        UserError: as `curation.plan.make_plan`, `curation.preflight` and `runtime.ray_runner.runner.run_stages`.
        MachineError: the machine can't go on, or another run has taken the DIR over.
        KeyboardInterrupt: Ctrl-C was pressed; everything is closed by then.
    """
    console = SafeConsole(stderr=True, highlight=False, soft_wrap=True)
    request = RunRequest.of(arguments)
    check_cluster(request)
    check_output(request.store)
    with locked_dir(request.store, "--output"):
        report = execute(request, console, quiet=arguments.quiet)
    if report.fatal is not None:
        raise MachineError(report.fatal)
    if report.interrupted:
        raise KeyboardInterrupt
    return POSTPONED if report.counts.get("media", {}).get("pending") else 0


def execute(request: RunRequest, console: Console, *, quiet: bool) -> RunReport:
    """Plan and run `request`, and finish the DIR however the run ends; the caller holds the lock.

    The models are fetched before anything is written: a run without its models leaves the DIR as it was.
    """
    for folder in replaceable_folders():
        request.store.mend_folders(folder)  # a killed run may have been replacing a layer
    if finish_removal(request.store, _folders_outside(request), lambda done, total: None) is not None:
        console.print("a removal that was interrupted is now finished")
    plan = make_plan(request)
    check_run(plan)
    for warning in plan.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")
    if plan.is_done:
        _leave_scratch(plan, complete=True)
        if not dir_bookkeeping.is_finished(plan):
            dir_bookkeeping.finish(plan)
        console.print(f"nothing to do: {escape(request.store.root)} is up to date with pipeline {request.pipeline}")
        return RunReport()
    report = _carry_out(plan, quiet=quiet)
    for _ in range(LATE_ROUNDS.count):
        if late := late_sources(report):
            console.print(f"late downloads: {late}; they are tried again in new shards")
            report = with_late_round(report, _carry_out(make_plan(late_request(request)), quiet=quiet))
    print_summary(request.store, request.layer, report, console)
    _warn_of_drift(plan, console)
    return report


def _carry_out(plan: RunPlan, *, quiet: bool) -> RunReport:
    """Run the stages of a plan, and finish the DIR however they end."""
    specs = stage_specs(plan.context, plan.todo, videos_per_shard=plan.sources.largest_shard)
    fetch_models(plan.context, [spec.name for spec in specs])
    _prepare_scratch(plan)
    dir_bookkeeping.begin(plan)
    adopt_prediction(plan.request.store)
    complete = False
    try:
        report = _run_stages(plan, specs, quiet)
        complete = report.fatal is None and not report.interrupted
    finally:
        _leave_scratch(plan, complete=complete)
        dir_bookkeeping.finish(plan)
    return report


def _folders_outside(request: RunRequest) -> list[Path]:
    """Return the scratch folder if it is outside the DIR."""
    return [] if request.scratch.is_relative_to(request.store.root) else [request.scratch]


def _warn_of_drift(plan: RunPlan, console: Console) -> None:
    """Warn if the judges accept another share of controls in the latest shards than in the first ones."""
    controls = plan.request.settings.branch(RewriteSettings).controls
    if controls.share and plan.todo.get("rewrite"):
        folder = plan.context.outputs["rewrite"].final_path
        for warning in layer_drift(plan.request.store, folder, controls):
            console.print(f"[yellow]warning:[/yellow] {escape(warning)}")


def _prepare_scratch(plan: RunPlan) -> None:
    """Remove leftovers of a killed run, except those that save work: see `_leave_scratch`.

    Raises:
        UserError: the folder can't be made.
    """
    scratch = plan.request.scratch
    try:
        scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--scratch {scratch}: can't be written to ({error.strerror}); choose another folder") from None
    commit_logs(plan.request.store, scratch)
    age_notes(scratch / "attempts")
    _clear_scratch(scratch, keep=("attempts", "pace", IN_FLIGHT_FOLDER))
    _drop_finished_media(plan, complete=False)


def _leave_scratch(plan: RunPlan, *, complete: bool) -> None:
    """Remove the work in progress after all workers have ended; what a later run can use is left.

    That is the download times of hosts, and the finished videos of media shards that were not committed.
    """
    scratch = plan.request.scratch
    if not scratch.is_dir():
        return
    remove_notes(scratch / "attempts")  # all workers have ended, and not because of their videos
    commit_logs(plan.request.store, scratch)
    _clear_scratch(scratch, keep=("pace", IN_FLIGHT_FOLDER))
    _drop_finished_media(plan, complete=complete)
    with suppress(OSError):  # something is left
        scratch.rmdir()


def _drop_finished_media(plan: RunPlan, *, complete: bool) -> None:
    """Remove the parts of media shards that no run will make; workers remove those of the shards that they commit."""
    if "media" in plan.todo:
        unfinished = () if complete else plan.todo["media"]
        remove_shards_but(plan.request.scratch, plan.outputs["media"].hash, unfinished)
        if (shared := plan.request.settings.branch(MediaSettings).shared_scratch) is not None:
            SharedPlace(shared, plan.request.store.root).remove_shards_but(plan.outputs["media"].hash, unfinished)


def _clear_scratch(scratch: Path, keep: Collection[str]) -> None:
    """Remove what workers have left in scratch; the run's lock is held, and no worker is running."""
    for entry in scratch.iterdir():
        if entry.name in keep:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _run_stages(plan: RunPlan, specs: Sequence[AnyStageSpec], quiet: bool) -> RunReport:
    """Run the stages, on Ray or in this process; nothing if no stage has anything to do.

    Ray is not started for tables that are made in seconds.
    """
    request = plan.request
    if not specs:
        return RunReport()
    return run_stages(
        specs,
        service_specs(plan.context, specs),
        cluster=ClusterSettings(
            address=request.address if plan.needs_ray else LOCAL, wait_for_nodes=request.wait_for_nodes
        ),
        log_folder=log_folder(request.store, request.scratch),
        title=f"curate run {request.pipeline} -> {request.store.root}",
        quiet=quiet,
        stages_in_turn=True if request.in_turn else None,
    )
