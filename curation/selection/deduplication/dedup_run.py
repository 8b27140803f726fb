"""`curate dedup`: compares what is new with everything, keeps the pairs, and writes the table of duplicates.

    media, videos, scores -> duplicates/.<name>/<kind>.parquet (pairs) -> duplicates/<name>.parquet

The heavy parts are stages of the runner: on Ray, or in this process. A killed run goes on with the units of work that
are left; the table is written last, in one commit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curation.selection.deduplication.clip_list import ClipList
from curation.selection.deduplication.dedup_settings import FOLDER, DedupSettings
from curation.selection.deduplication.duplicate_table import DedupResult, write_duplicates
from curation.selection.deduplication.exact.exact_kind import plan_exact
from curation.selection.deduplication.keep_order import parse_order
from curation.selection.deduplication.pair_kind import Integers, PairKind
from curation.selection.deduplication.pair_tables import sweep_work
from curation.selection.deduplication.perceptual.perceptual_kind import plan_perceptual
from curation.selection.deduplication.semantic.semantic_kind import plan_semantic
from runtime.errors import MachineError, UserError
from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.runner import run_stages
from shards.storage.store import Store


@dataclass(frozen=True)
class DedupRequest:
    """One call of `curate dedup`."""

    store: Store
    settings: DedupSettings
    address: str | None = None
    """Value of ``--address``."""
    quiet: bool = False


def deduplicate(request: DedupRequest) -> DedupResult:
    """Find duplicates and write their table; the caller holds the lock of the DIR.

    Raises:
        UserError: no media, no score set, no vectors, or no kind of duplicates asked for.
        MachineError: the machine can't go on.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    store, settings = request.store, request.settings
    clips = ClipList.read(store)
    rank = clips.rank(store, parse_order(settings.keep))
    kinds = _kinds(store, settings, clips, rank)
    sweep_work(store, f"{FOLDER}/.{settings.name}", [kind.plan.work for kind in kinds])
    with tempfile.TemporaryDirectory(prefix="curate-dedup-") as scratch:
        for kind in kinds:
            if not kind.plan.is_done:
                _compare(request, kind)
                kind.table.commit(Path(scratch), kind.collect(), kind.digests)
        result = write_duplicates(store, Path(scratch), settings, clips, rank, kinds)
    sweep_work(store, f"{FOLDER}/.{settings.name}", [])
    return result


def _kinds(store: Store, settings: DedupSettings, clips: ClipList, rank: Integers) -> Sequence[PairKind]:
    kinds: list[PairKind] = []
    if settings.exact:
        kinds.append(plan_exact(store, settings, clips, rank))
    if settings.perceptual is not None:
        kinds.append(plan_perceptual(store, settings, clips, rank))
    if settings.semantic is not None:
        kinds.append(plan_semantic(store, settings, clips, rank))
    if not kinds:
        raise UserError("curate dedup: name at least one of --exact, --perceptual and --semantic")
    return kinds


def _compare(request: DedupRequest, kind: PairKind) -> None:
    """Run the stages of one kind that have work left."""
    store = request.store
    report = run_stages(
        kind.stages(),
        (),
        cluster=ClusterSettings(address=request.address),
        log_folder=Path(store.root) / "log" if store.is_local else None,
        title=f"curate dedup {request.settings.name} ({kind.table.kind})",
        quiet=request.quiet,
        stages_in_turn=True,
    )
    if report.fatal is not None:
        raise MachineError(report.fatal)
    if report.interrupted:
        raise KeyboardInterrupt
