"""Bytes on disk and the costs of runs, as `curate status` prints them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.reporting.run_costs import PoolCosts, RunCosts, RunPrices, bytes_by_folder, money
from curation.reporting.spoken_numbers import byte_size, counted, length
from runtime.terminal import on_one_line
from shards.storage.store import Store


def print_sizes(console: Console, store: Store, prices: RunPrices | None) -> int:
    """Print the bytes of a DIR by folder, and what they cost a month if there are prices; return their sum."""
    sizes = bytes_by_folder(store)
    parts = ", ".join(f"{on_one_line(name)} {byte_size(size)}" for name, size in sizes.items())
    console.print(f"\nstored: {byte_size(sum(sizes.values()))} ({parts})", markup=False, soft_wrap=True)
    if prices is not None and prices.gigabyte_month:
        monthly = money(sum(sizes.values()) / 1e9 * prices.gigabyte_month, prices)
        console.print(f"on disk: {monthly} a month", markup=False)
    return sum(sizes.values())


def print_costs(console: Console, costs: RunCosts, prices: RunPrices | None) -> None:
    """Print hours and tokens by stage and engine, and money if there are prices."""
    if not costs.runs:
        console.print("costs: no log of a run in this DIR")
        return
    table = Table(title=f"\ncosts of {counted(costs.runs, 'run')}, {length(costs.hours)}", title_justify="left")
    table.add_column("stage or engine")
    for name in ("CPU-hours", "GPU-hours", "tokens in", "tokens out"):
        table.add_column(name, justify="right")
    for pool in costs.pools:
        table.add_row(Text(on_one_line(pool.pool)), *_cells(pool))
    table.add_section()
    whole = PoolCosts("all", costs.cpu_hours, costs.gpu_hours, costs.prompt_tokens, costs.completion_tokens)
    table.add_row("all", *_cells(whole))
    console.print(table)
    if costs.unmeasured:
        console.print(
            f"{counted(costs.unmeasured, 'run')} of an older version: hours of CPUs and GPUs are not known for them"
        )
    if prices is not None:
        console.print(f"money: {money(costs.money(prices), prices)}", markup=False)


def _cells(pool: PoolCosts) -> list[str]:
    hours = ["?" if each is None else f"{each:,.2f}" for each in (pool.cpu_hours, pool.gpu_hours)]
    return hours + [f"{each:,.0f}" if each else "" for each in (pool.prompt_tokens, pool.completion_tokens)]
