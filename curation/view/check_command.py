"""`curate check` for the terminal; the package `shards` does the work."""

from __future__ import annotations

from curation.reporting.next_command import print_next
from curation.view.inspect_clips import check_there
from runtime.errors import UserError, nearest
from runtime.progress_bar import progress_bar
from runtime.terminal import SafeConsole, on_one_line
from shards.checks.check_dir import check
from shards.selections.selection import selections
from shards.storage.store import Store


def show_check(root: str, *, decode: bool, selection: str | None = None) -> int:
    """Check a DIR; return 0 if it is intact, otherwise 1 after a list of the problems.

    Args:
        root: the DIR.
        decode: also decode every frame.
        selection: name of the only selection to check; None: all.

    Raises:
        UserError: there is no such folder or selection, or the folder is empty.
    """
    console = SafeConsole(highlight=False, markup=False, soft_wrap=True)  # file names may contain rich's markup
    store = Store(root)
    check_there(store)
    if selection is not None and selection not in selections(store):
        raise UserError(f"--select {selection}: no such selection{nearest(selection, selections(store))}")
    with progress_bar("checking shards") as progress:
        problems = check(store, decode=decode, progress=progress, selection=selection)
    for problem in problems:
        console.print(on_one_line(f"{problem.where}: {problem.what}"))
    if problems:
        console.print(f"{len(problems)} problem{'s' * (len(problems) != 1)} in {root}")
        return 1
    console.print(f"{root}: every row has its bytes, every tree nests, all sizes and hashes match")
    print_next(console, "status", store.root)
    return 0
