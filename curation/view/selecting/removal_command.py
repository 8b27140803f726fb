"""`curate remove`: finds the videos, shows what goes, and removes it; finishes a removal that was interrupted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from curation.reporting.next_command import print_next
from curation.run_request import scratch_folder
from curation.selection.removal.removal import RemovalReport, carry_out, finish_removal, plan_removal
from curation.selection.removal.removal_targets import KnownVideo, RemovalRequest, RemovalTargets, find_targets
from curation.stages.writable_output import check_can_write
from curation.view.inspect_clips import check_there
from runtime.errors import UserError, UserErrors
from runtime.progress_bar import progress_bar
from runtime.run_lock import locked_dir
from runtime.terminal import SafeConsole, on_one_line
from shards.removal.tombstones import REMOVED_NAME
from shards.removal.unfinished import Removal, read_unfinished
from shards.storage.store import Store

_MOST_REASON: Final = 500


def show_remove(arguments: argparse.Namespace, console: Console | None = None) -> int:
    """Remove videos from a DIR; return 0, or 1 if files of an unknown kind still name them.

    Raises:
        UserError: nothing to remove, no reason, or a name of nothing in the DIR.
        LockedError: a run holds the DIR.
        ShardError: a file is damaged; nothing was changed, or the same command finishes it after its repair.
        MachineError: disk full, no permission; the same command finishes it.
    """
    console = console or SafeConsole(highlight=False, markup=False, soft_wrap=True)
    store = Store(arguments.dir)
    check_there(store)
    check_can_write(store)
    request = RemovalRequest(_listed("--ids", arguments.ids), _listed("--urls", arguments.urls), arguments.channel)
    is_empty = not (request.ids or request.urls or request.channels)
    if is_empty and read_unfinished(store) is None:
        raise UserError("remove: name the videos to remove: --ids, --urls or --channel")
    reason = " ".join((arguments.reason or "").split())[:_MOST_REASON]
    if not is_empty and not reason:
        raise UserError("--reason: must say why, in a few words; it is all that will tell of these videos")
    if arguments.dry_run:
        return _rehearse(store, request, reason, console)
    with locked_dir(store, "DIR"):
        return _remove(store, request, reason, _folders_outside(store, arguments.scratch), console)


def _remove(store: Store, request: RemovalRequest, reason: str, work_folders: Sequence[Path], console: Console) -> int:
    with progress_bar("removing") as progress:
        finished = finish_removal(store, work_folders, progress)
    status = 0
    if finished is not None:
        console.print("a removal that was interrupted is now finished")
        status = _report(store, finished, console)
    if not (request.ids or request.urls or request.channels):
        return status
    targets = _targets(store, request, console)
    if not targets.videos:
        return status
    removal = plan_removal(store, targets.videos, reason)
    with progress_bar("removing") as progress:
        report = carry_out(store, removal, work_folders, progress)
    return max(status, _report(store, report, console))


def _rehearse(store: Store, request: RemovalRequest, reason: str, console: Console) -> int:
    """Show what would be removed."""
    if read_unfinished(store) is not None:
        console.print(f"a removal was interrupted; `curate remove {store.root}` finishes it first")
        return 0
    targets = _targets(store, request, console)
    if not targets.videos:
        return 0
    removal = plan_removal(store, targets.videos, reason)
    for video, tombstone in zip(targets.videos, removal.videos, strict=True):
        console.print(on_one_line(f"{video.video_id}: {tombstone.clips} clips, {_description(video)}"))
    console.print(
        f"would remove {_sum(removal)}; {len(removal.digests)} tables of {len(removal.shards)} shards and of all "
        "clips would be looked through, tars and tables that hold them written anew, logs deleted"
    )
    return 0


def _targets(store: Store, request: RemovalRequest, console: Console) -> RemovalTargets:
    """Find the videos, and say which were removed before.

    Raises:
        UserErrors: names of nothing in the DIR; nothing is removed then.
    """
    targets = find_targets(store, request)
    if targets.unknown:
        raise UserErrors(
            UserError(f"{name}: {store.root} holds no such video; check it against `curate inspect`, or leave it out")
            for name in targets.unknown
        )
    for name in targets.removed:
        console.print(on_one_line(f"{name}: was removed before"))
    return targets


def _report(store: Store, report: RemovalReport, console: Console) -> int:
    console.print(f"removed {_sum(report.removal)}; {report.rewritten} tables of layers and of all clips written anew")
    for name in report.deleted:
        console.print(f"deleted, as it was made from all clips: {name}")
    console.print(f"tombstones: {store.path(REMOVED_NAME)}; exports, copies and trained models are yours to deal with")
    for name, what in report.left:
        console.print(f"{store.path(name)}: {what}")
    print_next(console, "check", store.root, "--quick")
    return 1 if report.left else 0


def _sum(removal: Removal) -> str:
    numbers = {"video": len(removal.videos), "clip": sum(one.clips for one in removal.videos)}
    videos, clips, shards = (
        f"{number} {name}{'s' * (number != 1)}" for name, number in {**numbers, "shard": len(removal.shards)}.items()
    )
    return f"{videos} with {clips} from {shards}"


def _description(video: KnownVideo) -> str:
    sources = ", ".join(dict.fromkeys(row.source for row in video.sources))
    return f"{video.title!r} from {sources}" if video.title else sources


def _folders_outside(store: Store, wanted: Path | None) -> list[Path]:
    """Return the scratch folder of the runs of this machine, if it is outside the DIR."""
    scratch = scratch_folder(store, wanted)
    return [] if scratch.is_relative_to(store.root) else [scratch]


def _listed(option: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return the names that were given, and those in files, one a line; lines with # are comments.

    Raises:
        UserError: a file can't be read.
    """
    names: list[str] = []
    for value in values:
        if (option == "--ids" and Path(value).is_file()) or (value.endswith(".txt") and "://" not in value):
            names += _lines(option, Path(value))
        else:
            names.append(value)
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _lines(option: str, path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{option} {path}: can't be read as text ({error})") from None
    return [line for line in lines if not line.lstrip().startswith("#")]
