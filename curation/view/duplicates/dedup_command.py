"""`curate dedup`: from arguments to settings, and what was found to the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console

from curation.reporting.next_command import print_leave_out
from curation.selection.deduplication.dedup_run import DedupRequest, deduplicate
from curation.selection.deduplication.dedup_settings import DedupSettings
from curation.selection.deduplication.duplicate_table import DedupResult
from curation.selection.deduplication.perceptual.root_hashes import HASHES
from curation.view.inspect_clips import check_there
from runtime.errors import UserError
from runtime.run_lock import locked_dir
from runtime.settings import build
from runtime.terminal import SafeConsole
from shards.scores.score_set import ScoreSet, score_sets
from shards.storage.store import Store

_BAR: Final = 40


def show_dedup(arguments: argparse.Namespace, console: Console | None = None) -> int:
    """Find duplicates, write their table, and print what goes and the curve; return 0.

    Raises:
        UserError: no such DIR, score set or vectors, or arguments that do not fit together.
        MachineError: the machine can't go on, or another run has taken the DIR over.
    """
    store = Store(arguments.dir)
    check_there(store)
    settings = build(DedupSettings, _values(store, arguments), "dedup")
    with locked_dir(store, "DIR"):
        result = deduplicate(DedupRequest(store, settings, arguments.address, arguments.quiet))
    console = console or SafeConsole(highlight=False, markup=False, soft_wrap=True)
    report(result, settings, console)
    print_leave_out(console, store, "--dedup", settings.name)
    return 0


def report(result: DedupResult, settings: DedupSettings, console: Console) -> None:
    """Print what was found."""
    gone = sum(result.removed.values())
    share = 100 * gone / max(result.clips, 1)
    kinds = ", ".join(f"{count} {kind}" for kind, count in result.removed.items())
    console.print(
        f"{result.clips} clips: {gone} ({share:.1f} %) are duplicates of {result.groups} that stay ({kinds}), "
        f"{result.hours:.2f} hours"
    )
    for kind, shards in result.left_out.items():
        console.print(
            f"{shards} shards have no scores yet and were left out ({kind}): run `curate run … --stages score`"
        )
    if result.curve:
        console.print("cosine  share of clips that go")
        for threshold, removed in result.curve:
            here = " <" if settings.semantic is not None and abs(threshold - settings.semantic.threshold) < 1e-9 else ""
            console.print(f"{threshold:6.3f}  {100 * removed:5.1f} % {'█' * round(_BAR * removed)}{here}")
    console.print(f"written to {result.file}")


def _values(store: Store, arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Return the settings that the arguments state.

    Raises:
        UserError: arguments that do not fit together.
    """
    values: dict[str, Any] = {"name": arguments.name, "exact": arguments.exact}
    if arguments.keep is not None:
        values["keep"] = tuple(word.strip() for word in arguments.keep.split(","))
    if arguments.perceptual is not None:
        asked = {"scores": arguments.perceptual or only_hashes(store)}
        values["perceptual"] = asked | _given(arguments, "share", "seconds")
    if arguments.semantic:
        if arguments.vectors is None:
            raise UserError("--semantic: needs --vectors SET.COLUMN, the vectors to compare")
        values["semantic"] = {"vectors": arguments.vectors} | _given(arguments, "threshold", "floor")
    for flag, kind in (("vectors", "semantic"), ("threshold", "semantic"), ("floor", "semantic"),
                       ("share", "perceptual"), ("seconds", "perceptual")):  # fmt: skip
        if getattr(arguments, flag) is not None and kind not in values:
            raise UserError(f"--{flag} {getattr(arguments, flag)}: is for --{kind}, which is not asked for")
    return values


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def only_hashes(store: Store) -> str:
    """Return the name of the only score set with frame hashes.

    Raises:
        UserError: there is none, or there are several.
    """
    names = [name for name in score_sets(store) if HASHES in ScoreSet.open(store, name).columns]
    if len(names) == 1:
        return names[0]
    if not names:
        raise UserError(
            f"--perceptual: {store.root} has no frame hashes yet; add frame_hashes to score.scores, and run "
            "`curate run … --stages score`"
        )
    raise UserError(f"--perceptual: several score sets have frame hashes, name one of {', '.join(names)}")
