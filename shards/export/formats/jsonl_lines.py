"""Samples as lines of JSON that refer to bytes of the DIR; no video is copied."""

from __future__ import annotations

import json
from typing import TypedDict

from shards.export.export_rows import sample_facts
from shards.export.export_source import ExportSample, ExportSource, Progress, SelectedRoot, still_of
from shards.keys import shard_name
from shards.media.keyframes import StoredStill
from shards.storage.store import Store


class _TarRange(TypedDict):
    """A file's bytes inside a tar."""

    path: str
    offset: int
    size: int


class _SampleBytes(TypedDict):
    """The byte ranges of a sample's video (its root's) and still."""

    media: _TarRange
    keyframe: _TarRange | None


def write_lines(source: ExportSource, target: Store, progress: Progress | None) -> int:
    """Write one ``.jsonl`` a shard, named like it, and return the number of lines."""
    written, store = 0, source.store
    for done, shard in enumerate(source.shards, start=1):
        stills = source.stills(shard)
        rows = [(root, row) for root in source.roots(shard) for row in root.rows]
        stills_of_rows = [still_of(row, stills.get(root.root_key, ())) for root, row in rows]
        lines = [
            json.dumps({**sample_facts(row), **_byte_ranges(store, shard, root, still)})
            for (root, row), still in zip(rows, stills_of_rows, strict=True)
        ]
        for _, row in rows:
            source.count(ExportSample(row))
        target.commit_bytes("".join(f"{line}\n" for line in lines).encode(), f"{shard_name(shard)}.jsonl")
        written += len(lines)
        if progress is not None:
            progress(done, len(source.shards))
    return written


def _byte_ranges(store: Store, shard: int, root: SelectedRoot, still: StoredStill | None) -> _SampleBytes:
    name = shard_name(shard)
    media = _TarRange(path=store.path(f"media/{name}.tar"), offset=root.mp4.offset, size=root.mp4.size)
    if still is None:
        return _SampleBytes(media=media, keyframe=None)
    keyframe = _TarRange(path=store.path(f"keyframes/{name}.tar"), offset=still.offset, size=still.size)
    return _SampleBytes(media=media, keyframe=keyframe)
