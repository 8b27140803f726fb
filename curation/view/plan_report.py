"""`curate plan`: what a run would do, for people. Touches nothing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from curation.pipeline import StageName, services_needed, services_of, stages_of
from curation.pipeline_models import used_models
from curation.plan import Plan, make_plan
from curation.run_request import Job
from runtime.models.model_uri import check


def show_plan(arguments: argparse.Namespace) -> int:
    """Print the plan, and with ``--probe K`` what the whole run would cost; 0."""
    console = Console(highlight=False)
    job = Job.of(arguments)
    plan = make_plan(job)
    _print_sources(console, plan)
    _print_stages(console, plan)
    _print_models(console, job)
    _print_placement(console, plan)
    for warning in plan.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    if arguments.probe:
        from curation.probe_run import show_probe

        return show_probe(plan, arguments.probe, console)
    return 0


def _print_sources(console: Console, plan: Plan) -> None:
    known = len(plan.sources) - plan.new_sources
    console.print(
        f"pipeline {plan.job.pipeline}: {plan.job.settings.description}".rstrip(": "), markup=False, soft_wrap=True
    )
    console.print(
        f"sources: {known} known, {plan.new_sources} new; {plan.videos_per_shard} a shard -> {plan.job.store.root}",
        markup=False,
        soft_wrap=True,
    )


def _print_stages(console: Console, plan: Plan) -> None:
    table = Table(title="stages", title_justify="left")
    for name in ("stage", "writes", "done", "to do", "of them stale"):
        table.add_column(name, justify="left" if name in ("stage", "writes") else "right")
    for stage in plan.stages:
        table.add_row(stage.name, stage.folder, *(str(len(x)) for x in (stage.done, stage.todo, stage.stale)))
    console.print(table)
    if plan.replaces:
        console.print(f"{plan.places.text} takes the place of {plan.replaces} when it is complete")
    if plan.is_done:
        console.print("nothing to do: Ray would not be started")


def _print_models(console: Console, job: Job) -> None:
    table = Table(title="models", title_justify="left")
    table.add_column("for")
    table.add_column("model", overflow="fold")
    for use, uri in used_models(job.settings, job.stages).items():
        table.add_row(use, Text(check(uri).uri.partition("#")[0]))
    for name in dict.fromkeys(name for stage in job.stages for name in services_needed(job.settings)[stage]):
        engine = job.settings.engines.get(name)
        if engine is not None and engine.kind == "endpoint":
            table.add_row(name, Text(f"{engine.model} at {engine.base_url}"))
    console.print(table)


def _print_placement(console: Console, plan: Plan) -> None:
    """Workers of each pool, and whether the stages stream through this machine or take turns."""
    from runtime.ray_runner.cluster import ClusterSettings, joins_running_cluster, machine_nodes
    from runtime.ray_runner.placement import place

    everything: dict[StageName, Sequence[int]] = {stage.name: (0,) for stage in plan.stages}
    stages = stages_of(plan.job.settings, plan.places, plan.hashes, everything, videos_per_shard=plan.videos_per_shard)
    services = services_of(plan.job.settings, stages)
    pools = {stage.name: stage.pool for stage in stages} | {service.name: service.pool for service in services}
    table = Table(title="workers", title_justify="left")
    for name in ("pool", "min", "max", "CPUs each", "GPUs each", "at a time"):
        table.add_column(name, justify="left" if name == "pool" else "right")
    for name, pool in pools.items():
        table.add_row(name, str(pool.min), str(pool.max), f"{pool.cpus:g}", f"{pool.gpus:g}", str(pool.in_flight))
    console.print(table)
    cluster = ClusterSettings(address=plan.job.address)
    if joins_running_cluster(cluster):
        console.print("whether stages stream is decided on the Ray cluster that the run joins")
        return
    placement = place(stages, services, machine_nodes(cluster), in_turn=True if plan.job.in_turn else None)
    console.print(placement.why, soft_wrap=True)
