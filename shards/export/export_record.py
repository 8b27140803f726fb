"""The record of a complete export, ``.clipgrove-export`` in its folder: it tells what the export was made from.

An upload that was interrupted is repeated with the same command, which then finds its own export and writes nothing
anew. An export of another state of the DIR, such as one from before a video was removed, is not reused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from shards.errors import ShardError
from shards.export.export_source import ExportSource
from shards.reader import artifacts
from shards.scores.score_set import FOLDER, score_sets
from shards.storage.store import Store

RECORD_NAME: Final = ".clipgrove-export"


@dataclass(frozen=True)
class ExportRecord:
    """The inputs of a complete export, and its size."""

    digest: str
    """Of the tables that it was made from, and of the options."""
    samples: int
    """Samples written."""


def digest_of(source: ExportSource, options: Mapping[str, Any]) -> str:
    """Return the digest of all that decides what an export holds, 64 hex digits.

    Args:
        source: its inputs.
        options: the format, and what is chosen for it.
    """
    scores = [f"{FOLDER}/{name}" for name in score_sets(source.store)]
    folders = ["media", f"text/{source.clips.layer}", *scores]
    tables = {
        folder: {shard: artifact.digest for shard, artifact in artifacts(source.store, folder, source.shards).items()}
        for folder in folders
    }
    marks = None if source.marks is None else source.marks.digest
    facts = [tables, marks, sorted(source.removed), asdict(source.clips), dict(options)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def read_record(target: Store) -> ExportRecord | None:
    """Return the record of the complete export in a folder; None if there is none that can be read."""
    try:
        return ExportRecord(**json.loads(target.read_bytes(RECORD_NAME)))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_record(target: Store, record: ExportRecord) -> None:
    """Write the record; the export is complete then."""
    target.commit_bytes(json.dumps(asdict(record)).encode(), RECORD_NAME)


def check_output(target: Store, digest: str, *, reuse: bool) -> ExportRecord | None:
    """Return the record of the same export if the output holds it and it may be reused; None if the output is empty.

    Raises:
        ShardError: the output holds something else.
    """
    if not target.list() and not target.folders():
        return None
    record = read_record(target) if reuse else None
    if record is not None and record.digest == digest:
        return record
    what = "is not empty" if record is None else "holds an export of another state of DIR, or with other options"
    raise ShardError(f"--output {target.root}: {what}; name a new folder")
