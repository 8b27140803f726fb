"""Removal of videos on request: writes down what is to be removed, then rewrites every file that holds it.

    sources, ledger, media, keyframes, videos -> captions, texts, features, scores -> selections, audits, index, logs

The record of the removal (`shards.removal.unfinished`) comes first and is deleted last. Every step in between may be
repeated: whoever holds the lock after an interruption carries the removal to its end. The rows of other videos stay the
same, and the digests that tables record of each other are brought up to date, so that a later run makes nothing anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa

from curation.selection.deduplication.dedup_settings import FOLDER as DUPLICATES
from curation.selection.removal.audit_files import rewrite_audits
from curation.selection.removal.removal_targets import KnownVideo
from curation.selection.removal.removal_work import RemovalWork
from curation.selection.removal.removed_rows import rewrite_table
from curation.selection.removal.removed_shard import rewrite_shard
from curation.selection.removal.tables_of_shards import affected_tables, check_intact, clip_counts
from curation.sources.source_rows import source_rows, source_table
from runtime.run_lock import locked_dir
from shards.card_files import delete_card
from shards.index import rebuild_index
from shards.reader import read_artifact
from shards.records.known_artifacts import KNOWN_TABLE
from shards.removal.tombstones import REMOVED_CLASS, Tombstone, add_tombstones, source_alias
from shards.removal.traces import LOG, SCRATCH, all_folders, rows_of_videos, traces
from shards.removal.unfinished import Removal, delete_unfinished, read_unfinished, write_unfinished
from shards.scores.score_set import FOLDER as SCORES
from shards.scores.score_set import INDEX_FOLDER, score_sets
from shards.sources.part_writer import upgrade_single_table, write_part
from shards.sources.source_parts import SourceParts
from shards.storage.store import Store

_LOCKED_APART: Final = ("features", "scores")
"""Folders that training commands write under locks of their own."""

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


@dataclass(frozen=True)
class RemovalReport:
    """The result of a removal."""

    removal: Removal
    rewritten: int
    """Tables over clips that were written anew."""
    deleted: Sequence[str]
    """Files that are made from all clips together; a command makes them again."""
    left: Sequence[tuple[str, str]]
    """Files that still hold something of the videos, and what; empty unless there are files of an unknown kind."""


def plan_removal(store: Store, videos: Sequence[KnownVideo], reason: str) -> Removal:
    """Return the record of the removal of videos. Reads the DIR, changes nothing.

    Raises:
        ShardError: a table or a tar that is to be rewritten is damaged.
    """
    shards = sorted({row.shard for video in videos for row in video.sources})
    tables = affected_tables(store, shards)
    check_intact(store, shards)
    clips = clip_counts(store, shards)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    tombstones = [
        Tombstone(video.video_id, video.known_as, reason, now, len(video.sources), clips[video.video_id])
        for video in videos
    ]
    return Removal(tombstones, shards, tables)


def carry_out(store: Store, removal: Removal, work_folders: Sequence[Path], progress: Progress) -> RemovalReport:
    """Remove videos; the caller holds the lock of the DIR.

    Args:
        store: the DIR.
        removal: of `plan_removal`, or of an interrupted removal.
        work_folders: folders outside the DIR in which runs keep work in progress and logs.
        progress: see `Progress`.

    Raises:
        LockedError: features are being extracted, or a model scores the clips.
        ShardError: a file is damaged.
        OSError: disk full, no permission, network; the removal can be repeated.
    """
    with ExitStack() as stack:
        for folder in sorted({*_LOCKED_APART} & {*store.folders()}):
            stack.enter_context(locked_dir(Store(store.path(folder)), "DIR"))
        write_unfinished(store, removal)
        _tidy(store, work_folders)
        work = RemovalWork(store, removal, stack.enter_context(_scratch(store)))
        add_tombstones(store, work.scratch, removal.videos)
        _hide_sources(work)
        steps = len(removal.shards) + len(removal.digests)
        for done, shard in enumerate(removal.shards):
            rewrite_shard(work, shard)
            progress(done + 1, steps)
        _forget_pairs(store)
        deleted = [*delete_card(store), *_delete_indexes(store), *rewrite_audits(work)]
        rewritten = 0
        for done, name in enumerate(_in_order(store, removal), start=len(removal.shards)):
            rewritten += rewrite_table(work, name)
            progress(done + 1, steps)
        rebuild_index(store)
        left = list(traces(store, removal.ids))
        delete_unfinished(store)
    return RemovalReport(removal, rewritten, deleted, left)


def finish_removal(store: Store, work_folders: Sequence[Path], progress: Progress) -> RemovalReport | None:
    """Carry an interrupted removal to its end; return None if there is none. The caller holds the lock of the DIR."""
    removal = read_unfinished(store)
    return None if removal is None else carry_out(store, removal, work_folders, progress)


def _tidy(store: Store, work_folders: Sequence[Path]) -> None:
    """Delete logs and work in progress, which may name videos, and complete what other runs were interrupted at."""
    store.delete(KNOWN_TABLE)  # it names subtitle files; the next run makes it again
    for folder in list(all_folders(store)):
        store.mend_folders(folder)
    for folder in list(all_folders(store)):
        store.sweep(folder)
        for name in store.folders(folder, hidden=True):
            if name.startswith(SCRATCH):
                store.delete_folder(f"{folder}/{name}" if folder else name)
    store.delete_folder(LOG)
    for outside in work_folders:
        shutil.rmtree(outside, ignore_errors=True)


@contextmanager
def _scratch(store: Store) -> Iterator[Path]:
    """Yield an empty folder for files while they are written; on the file system of a local DIR."""
    parent = Path(store.root) / SCRATCH if store.is_local else None
    if parent is not None:
        parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=parent, prefix="removal-") as folder:
        yield Path(folder)
    if parent is not None and not any(parent.iterdir()):
        parent.rmdir()


def _hide_sources(work: RemovalWork) -> None:
    """Put an alias in the place of the URL of each removed source, and note that it needs no work."""
    store, ids = work.store, work.removal.ids
    upgrade_single_table(store, work.scratch)
    parts = SourceParts(store)
    for name in parts.names:
        table = pa.concat_tables(parts.tables_of(name))
        rows = [
            replace(row, source=source_alias(row.video_id, row.source), planned_state=REMOVED_CLASS, carried=None)
            if row.video_id in ids
            else row
            for row in (source_rows(table) if rows_of_videos(table, ids).any() else ())
        ]
        if rows and (changed := source_table(rows)) != table:
            write_part(store, work.scratch, name, changed)


def _forget_pairs(store: Store) -> None:
    """Delete the pairs that searches for duplicates keep between their runs: the next search compares all clips again.

    They name rows by number, which move; and two clips may be linked by a removed one alone.
    """
    for name in store.folders(DUPLICATES, hidden=True):
        if name.startswith("."):
            store.delete_folder(f"{DUPLICATES}/{name}")


def _delete_indexes(store: Store) -> list[str]:
    """Delete the indexes over vectors, which hold those of removed clips, and return their folders."""
    found = [f"{SCORES}/{name}/{INDEX_FOLDER}" for name in score_sets(store)]
    deleted = [folder for folder in found if store.list(folder)]
    for folder in deleted:
        store.delete_folder(folder)
    return deleted


def _in_order(store: Store, removal: Removal) -> list[str]:
    """Return the tables to rewrite, each after the tables that it was made from; without those of the media."""
    there = [name for name in removal.digests if not name.startswith(("media/", "ledger/", "videos/"))]
    graph = {name: _inputs(store, name, removal) for name in there if store.exists(name)}
    try:
        ordered = list(TopologicalSorter(graph).static_order())
    except CycleError:
        ordered = sorted(graph)
    return [name for name in ordered if name in graph]


def _inputs(store: Store, name: str, removal: Removal) -> set[str]:
    """Return those tables of the removal that a table was made from; none for one without a record."""
    return set(read_artifact(store, name).inputs) & removal.digests.keys() if removal.digests[name] else set()
