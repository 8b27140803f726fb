"""The media of one shard without removed videos: tars, ledger, table of videos, and last the table of clips.

The clips that are left are the same rows, but for the place of their bytes in the tar. Every source stays in the
ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from curation.media.sidecar_inputs import subtitled_video
from curation.selection.removal.removal_work import RemovalWork
from curation.selection.removal.rewritten_files import tar_without
from shards.artifact import FileFact
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.removal.tombstones import REMOVED_CLASS, source_alias
from shards.removal.traces import rows_of_videos
from shards.schema import CLIPS, LEDGER
from shards.storage.store import Store
from shards.writer import commit_record, commit_table, conform, media_digest

_MESSAGE = "removed on request"


def rewrite_shard(work: RemovalWork, shard: int) -> None:
    """Take removed videos out of the media of a shard; may be repeated after an interruption.

    Raises:
        ShardError: a table or a tar is damaged.
    """
    store, stem = work.store, shard_name(shard)
    media = f"media/{stem}.parquet"
    if not store.exists(media):
        _delete_uncommitted(store, stem)
        return
    ledger = _ledger(work, stem)
    record = read_artifact(store, media)
    table = read_table(store, media)
    dropped = rows_of_videos(table, work.removal.ids)
    left = table.filter(pa.array(~dropped))
    files = dict(record.files)
    if dropped.any():
        left, files = _without_bytes(work, stem, left)
    inputs = work.inputs(record.inputs)
    counts = {name: value for name, value in record.counts.items() if name.partition(":")[0] not in _STATES}
    counts |= _counts(ledger, left.num_rows)
    _commit_books(work, stem, ledger, inputs, counts)
    changed = replace(record, inputs=inputs, counts=counts, files=files, digest=media_digest(left, files))
    if changed != record:
        commit_record(store, work.scratch, media, conform(left, CLIPS, media), changed)
    work.digests[media] = changed.digest


_STATES = ("written", "filtered", "failed", "pending")


def _delete_uncommitted(store: Store, stem: str) -> None:
    """Delete what an interrupted run has left of a shard: no reader sees it, and the next run makes it again."""
    for name in (f"media/{stem}.tar", f"keyframes/{stem}.tar", f"ledger/{stem}.parquet", f"videos/{stem}.parquet"):
        store.delete(name)


def _ledger(work: RemovalWork, stem: str) -> pa.Table:
    """Return the ledger with the sources of removed videos as filtered, without URL, message and length.

    Inputs that name the file of such a source are noted as forgotten.
    """
    name = f"ledger/{stem}.parquet"
    rows: list[dict[str, Any]] = read_table(work.store, name, LEDGER.names).to_pylist()
    for row in rows:
        if row["video_id"] in work.removal.ids:
            row |= {"source": source_alias(row["video_id"], row["source"]), "state": "filtered", "class": REMOVED_CLASS}
            row |= {"message": _MESSAGE, "seconds": None, "clips": 0, "elapsed": None}
    aliases = {row["source"] for row in rows if row["class"] == REMOVED_CLASS}
    recorded = read_artifact(work.store, f"media/{stem}.parquet").inputs
    for given in recorded:
        path = subtitled_video(given)
        if path is not None and any(source_alias(id_, path) in aliases for id_ in work.removal.ids):
            work.forgotten.add(given)
    return pa.Table.from_pylist(rows, LEDGER)


def _without_bytes(work: RemovalWork, stem: str, left: pa.Table) -> tuple[pa.Table, dict[str, FileFact]]:
    """Write the tars anew, and return the clips that are left with the places of their bytes, and the tars' facts."""
    tar, stills = f"media/{stem}.tar", f"keyframes/{stem}.tar"
    media = tar_without(work.store, tar, work.removal.ids, work.scratch)
    keyframes = tar_without(work.store, stills, work.removal.ids, work.scratch)
    try:
        offsets = [media.members[f"{root}.mp4"].offset for root in left["root_key"].to_pylist()]
    except KeyError as error:
        raise ShardError(f"{tar}: lacks {error.args[0]}; `curate check` lists what is damaged") from None
    place = CLIPS.get_field_index("byte_offset")
    moved = left.set_column(place, CLIPS.field("byte_offset"), pa.array(offsets, pa.int64()))
    return moved, {tar: media.fact, stills: keyframes.fact}


def _counts(ledger: pa.Table, clips: int) -> dict[str, float]:
    """Return the figures of a shard as the media stage counts them."""
    rows = ledger.to_pylist()
    states = Counter(str(row["state"]) for row in rows)
    classes = Counter(f"{row['state']}:{row['class']}" for row in rows if row["class"] is not None)
    seconds = sum(row["seconds"] or 0.0 for row in rows if row["state"] == "written")
    return {"videos": len(rows), "clips": clips, "seconds": seconds, **states, **classes}


def _commit_books(
    work: RemovalWork, stem: str, ledger: pa.Table, inputs: Mapping[str, str], counts: Mapping[str, float]
) -> None:
    """Commit the ledger and the table of videos, with the figures that they share with the media."""
    _commit(work, f"ledger/{stem}.parquet", ledger, inputs, counts)
    name = f"videos/{stem}.parquet"
    if work.store.exists(name):
        videos = read_table(work.store, name)
        left = videos.filter(pa.array(~rows_of_videos(videos, work.removal.ids)))
        _commit(work, name, left, inputs, counts)


def _commit(
    work: RemovalWork, name: str, table: pa.Table, inputs: Mapping[str, str], counts: Mapping[str, float]
) -> None:
    record = read_artifact(work.store, name)
    changed = replace(record, inputs=inputs, counts=counts)
    if changed != record or read_table(work.store, name).to_pylist() != table.to_pylist():
        changed = commit_table(work.store, work.scratch, name, table, changed)
    work.digests[name] = changed.digest
