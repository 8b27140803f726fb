"""`curate check` and `curate export` for the terminal; the work is done in `shards`."""

from __future__ import annotations

import argparse

from rich.console import Console

from curation.inspection import pick_layer
from runtime.bar import bar
from shards.check import check
from shards.export import export
from shards.store import Store


def show_check(root: str, *, decode: bool) -> int:
    """Check a DIR; 0 where all is well, else 1 and the list of problems."""
    console = Console(highlight=False)
    with bar("checking shards") as progress:
        problems = check(Store(root), decode=decode, progress=progress)
    for problem in problems:
        console.print(f"{problem.where}: {problem.what}", markup=False, soft_wrap=True)
    if problems:
        console.print(f"{len(problems)} problem{'s' * (len(problems) != 1)} in {root}")
        return 1
    console.print(f"{root}: every row has its bytes, every tree nests, all sizes and hashes match", soft_wrap=True)
    return 0


def show_export(arguments: argparse.Namespace) -> int:
    """Export a DIR; 0."""
    store = Store(arguments.dir)
    layer = pick_layer(store, arguments.layer)
    with bar("exporting") as progress:
        written = export(
            store,
            layer,
            format=arguments.format,
            unit=arguments.unit,
            output=arguments.output,
            where=arguments.where,
            keep_only=not arguments.all,
            text=arguments.text,
            progress=progress,
        )
    Console(highlight=False).print(f"{written} samples of layer {layer} written to {arguments.output}")
    return 0
