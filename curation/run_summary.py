"""The last lines of `curate run`: the sources by state, its costs, and one command that has something to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console

from curation.media.download.politeness.site_traffic import site_figures, unreachable_proxies
from curation.reporting.next_command import layer_arguments, print_next
from curation.reporting.run_costs import RunCosts, cost_line
from curation.reporting.spoken_numbers import byte_size, counted
from curation.sources.source_states import SourceState, SourceStates, equation
from runtime.ray_runner.run_record import RunReport
from shards.reader import num_rows
from shards.storage.store import Store

_HOSTS_NAMED: Final = 3


def print_summary(store: Store, layer: str, report: RunReport, console: Console) -> None:
    """Print the sources by state, what the run took, and the next command."""
    sources = SourceStates(store)
    console.print(f"sources: {equation(sources.counts())}")
    hosts = Counter(_host(source) for source in sources.of_classes("pending", ["postponed"]))
    sources.close()
    if hosts:
        console.print(_postponed_line(hosts), markup=False)
    for line in _site_lines(report.counts.get("media", {})):
        console.print(line, markup=False)
    if report.pools:
        console.print(f"this run: {cost_line(RunCosts.of_report(report))}")
    print_next(console, *next_arguments(store, layer))


def _host(source: SourceState) -> str:
    return urlsplit(source.row.source).hostname or "?"


def _postponed_line(hosts: Counter[str]) -> str:
    """Return one line about the sources that were not tried, by host, and what to do."""
    named = ", ".join(f"{host} {count}" for host, count in hosts.most_common(_HOSTS_NAMED))
    more = f", {len(hosts) - _HOSTS_NAMED} more hosts" if len(hosts) > _HOSTS_NAMED else ""
    return (
        f"postponed: {hosts.total()} sources were not tried, because their hosts refused others ({named}{more}); the "
        "same command tries them later; with --retry-failed bot_check,rate_limited also those that were refused"
    )


def _site_lines(counts: Mapping[str, float]) -> list[str]:
    """Return one line about requests and bytes by site, and one about proxies that could not be reached."""
    figures, lines = site_figures(counts), []
    if figures:
        named = [
            f"{each.site} {counted(each.requests, 'request')}, {byte_size(each.received)}"
            + (f", {each.refused:,} refused" if each.refused else "")
            for each in figures[:_HOSTS_NAMED]
        ]
        more = [f"{len(figures) - _HOSTS_NAMED} more sites"] if len(figures) > _HOSTS_NAMED else []
        lines.append(f"sites: {'; '.join(named + more)}")
    if gone := unreachable_proxies(counts):
        lines.append("proxies that could not be reached: " + ", ".join(f"{name} {n} times" for name, n in gone.items()))
    return lines


def next_arguments(store: Store, layer: str) -> list[str]:
    """Return the arguments of the command that shows the texts of `layer`; if there are none, the states of sources."""
    folder = f"text/{layer}"
    names = [f"{folder}/{name}" for name in store.list(folder) if name.endswith(".parquet")]
    if not any(num_rows(store, name) for name in names):
        return ["status", store.root]
    return ["inspect", store.root, *layer_arguments(store, layer)]
