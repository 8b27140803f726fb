"""`curate clean-of`: from arguments to a request, and what matched and why to the terminal."""

from __future__ import annotations

import argparse

from rich.console import Console

from curation.reporting.next_command import print_leave_out
from curation.selection.decontamination.benchmark_registry import benchmark_named
from curation.selection.decontamination.clean_of import CleanRequest, CleanResult, clean_of
from curation.selection.decontamination.clean_settings import CleanSettings
from curation.selection.decontamination.match import MATCH_KINDS
from curation.view.duplicates.dedup_command import only_hashes
from curation.view.inspect_clips import check_there
from runtime.errors import UserError, nearest
from runtime.run_lock import locked_dir
from runtime.settings import build
from runtime.terminal import SafeConsole
from shards.reader import text_layers
from shards.storage.store import Store

_SHOWN = 5


def show_clean_of(arguments: argparse.Namespace, console: Console | None = None) -> int:
    """Look for a benchmark in a DIR, write the table of matches, and print them; return 0.

    Raises:
        UserError: no such DIR, benchmark, file or score set, or arguments that do not fit together.
        MachineError: another run has taken the DIR over.
    """
    store = Store(arguments.dir)
    check_there(store)
    benchmark_named(arguments.benchmark)
    chosen = {name: getattr(arguments, name) for name in ("threshold", "words", "seconds")}
    values = {"name": arguments.name or arguments.benchmark, "benchmark": arguments.benchmark}
    values |= {name: value for name, value in chosen.items() if value is not None}
    request = CleanRequest(
        store,
        build(CleanSettings, values, "clean_of"),
        arguments.annotations,
        arguments.videos,
        (arguments.perceptual or only_hashes(store)) if arguments.videos else None,
        arguments.vectors,
        _layers(store, arguments.layer),
    )
    if arguments.videos is None and arguments.vectors is not None:
        raise UserError(f"--vectors {arguments.vectors}: needs --videos, a DIR curated from the benchmark's videos")
    with locked_dir(store, "DIR"):
        result = clean_of(request)
    report(result, request, console or SafeConsole(highlight=False, markup=False, soft_wrap=True))
    return 0


def report(result: CleanResult, request: CleanRequest, console: Console) -> None:
    """Print what matched and why."""
    counts = result.counts
    console.print(
        f"{result.benchmark}: {counts['items']:.0f} of {result.items} videos match {counts['clips']:.0f} clips"
    )
    for kind in MATCH_KINDS:
        if f"items:{kind}" in counts:
            console.print(f"  {kind}: {counts[f'items:{kind}']:.0f} videos, {counts[f'clips:{kind}']:.0f} clips")
            rows = [row for row in result.rows.to_pylist() if row["kind"] == kind]
            for row in rows[:_SHOWN]:
                console.print(f"    {row['key']} is {row['benchmark_id']}: {row['reason']}")
            if len(rows) > _SHOWN:
                console.print(f"    and {len(rows) - _SHOWN} more")
    for note in result.notes:
        console.print(note)
    console.print(f"written to {result.file}")
    print_leave_out(console, request.store, "--clean-of", request.settings.name)


def _layers(store: Store, wanted: str | None) -> list[str]:
    """Return the named text layer, or all.

    Raises:
        UserError: there is no such layer.
    """
    layers = text_layers(store)
    if wanted is None:
        return layers
    if wanted not in layers:
        raise UserError(f"--layer {wanted}: {store.root} has no such text layer{nearest(wanted, layers)}")
    return [wanted]
