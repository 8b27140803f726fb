"""The logs and traces of runs, ``DIR/log``: written on a local disk, and committed where the DIR is an object store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from shards.storage.store import Store

LOG: Final = "log"
"""Folder of a DIR, and of a scratch folder."""


def log_folder(store: Store, scratch: Path) -> Path:
    """Return the local folder in which a run writes its log: inside the DIR, or in scratch for an object store."""
    return Path(store.root) / LOG if store.is_local else scratch / LOG


def commit_logs(store: Store, scratch: Path) -> None:
    """Move the logs in scratch to a DIR in an object store; also those that a killed run has left there."""
    folder = log_folder(store, scratch)
    if store.is_local or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        store.commit(path, f"{LOG}/{path.name}")
        path.unlink(missing_ok=True)


def run_logs(store: Store) -> list[str]:
    """Return the names of the logs of the runs of a DIR, in order of time."""
    return sorted(f"{LOG}/{name}" for name in store.list(LOG) if name.endswith(".jsonl"))


def began(name: str) -> datetime:
    """Return the time in the name of a log at which its run began."""
    stamp = name.rpartition("/")[2][: len("20260101T000000")]
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # not a name of ours
        return datetime.min.replace(tzinfo=UTC)
