"""`curate plan`: shows what a run would do. Changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from curation.pipeline import service_specs, stage_specs
from curation.pipeline_models import pinned_models, used_engines
from curation.plan import RunPlan, make_plan
from curation.preflight import check_cluster, check_output, check_run
from curation.reporting.run_costs import read_prices
from curation.run_request import RunRequest
from curation.view.prediction_report import print_prediction
from runtime.ray_runner.cluster import ClusterSettings, joins_running_cluster, machine_nodes
from runtime.ray_runner.placement import place
from runtime.ray_runner.stage import PoolSettings
from runtime.terminal import SafeConsole


def show_plan(arguments: argparse.Namespace) -> int:
    """Print the plan, and with ``--probe K`` a prediction for the whole run; return 0."""
    console = SafeConsole(highlight=False)
    priced = None if arguments.prices is None else read_prices(arguments.prices)
    request = RunRequest.of(arguments)
    check_cluster(request)
    check_output(request.store)
    plan = make_plan(request)
    check_run(plan)
    _print_sources(console, plan)
    _print_stages(console, plan)
    _print_models(console, plan)
    _print_workers(console, plan)
    for warning in plan.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}", soft_wrap=True)
    if arguments.probe:
        from curation.probe.probe_run import probe

        print_prediction(console, probe(plan, arguments.probe, arguments.nodes), priced)
    return 0


def _print_sources(console: Console, plan: RunPlan) -> None:
    request, sources = plan.request, plan.sources
    description = f"pipeline {request.pipeline}: {request.settings.description}".rstrip(": ")
    console.print(description, markup=False, soft_wrap=True)
    console.print(
        f"sources: {sources.known} known, {sources.new} new; {sources.videos_per_shard} per shard -> "
        f"{request.store.root}",
        markup=False,
        soft_wrap=True,
    )


def _print_stages(console: Console, plan: RunPlan) -> None:
    table = Table(title="stages", title_justify="left")
    for name in ("stage", "writes", "done", "to do", "of them stale"):
        table.add_column(name, justify="left" if name in ("stage", "writes") else "right")
    for stage in plan.stages:
        table.add_row(stage.name, stage.output.path, *map(str, stage.counts))
    console.print(table)
    for output in plan.replaced:
        console.print(f"{output.path} replaces {output.replaces} when it is complete")
    if plan.is_done:
        console.print("nothing to do: Ray would not be started")


def _print_models(console: Console, plan: RunPlan) -> None:
    request = plan.request
    table = Table(title="models", title_justify="left")
    table.add_column("for")
    table.add_column("model", overflow="fold")
    for use, uri in pinned_models(plan.context, request.stages).items():
        table.add_row(use, Text(uri.partition("#sha256=")[0]))
    for name in used_engines(request.settings, request.stages):
        engine = request.settings.engines[name]
        if engine.local_model is None:
            table.add_row(name, Text(f"{engine.model} at {engine.server}"))
    console.print(table)


def _print_workers(console: Console, plan: RunPlan) -> None:
    """Print the workers of each pool, and whether the stages stream through this machine or take turns."""
    request = plan.request
    everything: dict[str, Sequence[int]] = {stage.name: (0,) for stage in plan.stages}
    specs = stage_specs(plan.context, everything, videos_per_shard=plan.sources.largest_shard)
    services = service_specs(plan.context, specs)
    if request.is_local:
        console.print("stages run in this process, one after another, without Ray (--address local)")
        return
    if not plan.needs_ray and not plan.is_done:
        console.print("what is to be done takes seconds: Ray would not be started", soft_wrap=True)
        return
    _print_pools(console, {spec.name: spec.pool for spec in (*specs, *services)})
    cluster = ClusterSettings(address=request.address)
    if joins_running_cluster(cluster):
        console.print("The Ray cluster that the run joins decides whether its stages stream or take turns.")
        return
    placement = place(specs, services, machine_nodes(cluster), in_turn=True if request.in_turn else None)
    console.print(placement.why, soft_wrap=True)


def _print_pools(console: Console, pools: dict[str, PoolSettings]) -> None:
    table = Table(title="workers", title_justify="left")
    for name in ("pool", "min", "max", "CPUs each", "GPUs each", "at a time"):
        table.add_column(name, justify="left" if name == "pool" else "right")
    for name, pool in pools.items():
        table.add_row(name, str(pool.min), str(pool.max), f"{pool.cpus:g}", f"{pool.gpus:g}", str(pool.in_flight))
    console.print(table)
