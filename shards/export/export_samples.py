"""`curate export`: samples for other tools, from one text layer of a DIR.

``webdataset`` writes self-contained tars, ``00000.tar`` and on, each with a Parquet of the same rows and its
figures beside it, which stock `webdataset`, `open_clip` and `video2dataset` read. ``jsonl`` copies no bytes: each line
is a sample with the byte ranges of its video and its still in the DIR. Names parse as numbers, and the number of
samples is in ``__len__`` (not in a ``sizes.json``: video2dataset takes every ``*.json`` for a shard of its own).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypedDict

from shards.errors import ShardError
from shards.export.clip_cutting import cut_clip
from shards.export.export_rows import ExportRow, sample_facts
from shards.export.export_selection import ExportSelection, SelectedRoot, Unit, select_rows
from shards.export.export_tars import ExportSample, write_tars
from shards.keyframes import StoredStill, nearest_still, read_still, stills_of
from shards.keys import shard_name
from shards.reader import map_ahead, media_shards, shards_in, text_layers
from shards.removal.unfinished import refuse_unfinished
from shards.selections.clip_condition import ClipCondition
from shards.selections.marked_texts import selection_of
from shards.selections.selection import Selection
from shards.storage.store import Store
from shards.storage.tar import read_span

Format = Literal["webdataset", "jsonl"]
Progress = Callable[[int, int], None]
LENGTH_NAME: Final = "__len__"
_THREADS: Final = 4


def export(
    store: Store,
    selection: ExportSelection,
    *,
    format: Format,
    output: str | Path,
    max_per_tar: int = 1000,
    progress: Progress | None = None,
    counts: Counter[str] | None = None,
) -> int:
    """Write the clips of a text layer as samples for other tools.

    Args:
        store: the DIR.
        selection: the clips. With the unit ``clip`` a sample is cut out of its root by copy; with ``root`` it is the
            root, with its whole tree in the json.
        format: ``webdataset`` (tars with mp4, json, txt, jpg) or ``jsonl`` (lines that refer to bytes of the DIR).
        output: an empty or new folder, or fsspec URL.
        max_per_tar: samples a tar at most; a tar is also closed at 1 GiB.
        progress: called with (shards done, shards in all).
        counts: ``without_text``, the samples written without the text that was asked for, and ``shards_without_marks``,
            the shards left out because the selection was made before them, are added to it.

    Returns:
        Samples written. Clips that could not be cut are counted by reason in each tar's ``_stats.json``.

    Raises:
        ShardError: no such layer, no marks for it, the output is not empty, the selection can't work, or a removal was
            interrupted.
        OSError: the disk is full or can't be written; only whole tars are in the output then.
    """
    refuse_unfinished(store)
    layer = selection.layer
    if layer not in text_layers(store):
        raise ShardError(f"--layer {layer}: no such text layer (there are: {', '.join(text_layers(store)) or 'none'})")
    layer_shards = shards_in(store.list(f"text/{layer}"))
    condition = selection.condition(store, layer_shards)
    marks = selection_of(store, layer, selection.selection)
    target = Store(output)
    if target.list() or target.folders():
        raise ShardError(f"--output {output}: is not empty; name a new folder")
    shards = sorted(set(media_shards(store)) & set(layer_shards))
    marked = [shard for shard in shards if marks is None or shard in marks.shards]
    source = _Source(store, marked, selection, marks, condition)
    counts = Counter() if counts is None else counts
    counts["shards_without_marks"] += len(shards) - len(marked)
    if format == "jsonl":
        written = _write_lines(source, target, progress, counts)
    else:
        written = write_tars(_counted(_samples(source, progress), counts), target, max_per_tar)
    target.commit_bytes(f"{written}\n".encode(), LENGTH_NAME)
    return written


@dataclass(frozen=True)
class _Source:
    """The inputs of an export."""

    store: Store
    shards: Sequence[int]
    clips: ExportSelection
    marks: Selection | None
    condition: ClipCondition | None

    def roots(self, shard: int) -> list[SelectedRoot]:
        """Return the samples to make of a shard, root by root."""
        return select_rows(self.store, shard, self.clips, self.marks, self.condition)


def _samples(source: _Source, progress: Progress | None) -> Iterator[ExportSample]:
    """Yield all samples in order; the next roots are read and cut while one sample is written."""
    for done, shard in enumerate(source.shards, start=1):
        stills = stills_of(source.store, shard)

        def make(
            root: SelectedRoot, shard: int = shard, stills: Mapping[str, Sequence[StoredStill]] = stills
        ) -> list[ExportSample]:
            return _samples_of_root(source.store, shard, root, stills.get(root.root_key, ()), source.clips.unit)

        for samples in map_ahead(make, source.roots(shard), _THREADS):
            yield from samples
        if progress is not None:
            progress(done, len(source.shards))


def _counted(samples: Iterable[ExportSample], counts: Counter[str]) -> Iterator[ExportSample]:
    for sample in samples:
        counts["without_text"] += sample.error is None and not sample.row["text"]
        yield sample


def _samples_of_root(
    store: Store, shard: int, root: SelectedRoot, stills: Sequence[StoredStill], unit: Unit
) -> list[ExportSample]:
    mp4 = read_span(store, f"media/{shard_name(shard)}.tar", root.mp4.offset, root.mp4.size)
    samples = []
    for row in root.rows:
        still = _still_of(row, stills)
        jpg = None if still is None else read_still(store, shard, still)
        try:
            row, own = (row, mp4) if unit == "root" else _cut_sample(row, mp4)
            samples.append(ExportSample(row, own, jpg))
        except ValueError as error:
            samples.append(ExportSample(row, error=str(error)))
    return samples


def _cut_sample(row: ExportRow, root: bytes) -> tuple[ExportRow, bytes]:
    """Return the row of one clip with `offset` and `num_frames` of the clip's own video, and that video."""
    clip = cut_clip(root, row["offset"], row["offset"] + row["end"] - row["start"], row["fps"])
    own: ExportRow = {
        **row,
        "offset": row["offset"] - clip.first_frame / row["fps"],
        "num_frames": clip.num_frames,
        "root_first_frame": clip.first_frame,
    }
    return own, clip.data


def _still_of(row: ExportRow, stills: Sequence[StoredStill]) -> StoredStill | None:
    return nearest_still(stills, row["start"], row["end"])


def _write_lines(source: _Source, target: Store, progress: Progress | None, counts: Counter[str]) -> int:
    written, store = 0, source.store
    for done, shard in enumerate(source.shards, start=1):
        stills = stills_of(store, shard)
        rows = [(root, row) for root in source.roots(shard) for row in root.rows]
        stills_of_rows = [_still_of(row, stills.get(root.root_key, ())) for root, row in rows]
        lines = [
            json.dumps({**sample_facts(row), **_byte_ranges(store, shard, root, still)})
            for (root, row), still in zip(rows, stills_of_rows, strict=True)
        ]
        counts["without_text"] += sum(not row["text"] for _, row in rows)
        target.commit_bytes("".join(f"{line}\n" for line in lines).encode(), f"{shard_name(shard)}.jsonl")
        written += len(lines)
        if progress is not None:
            progress(done, len(source.shards))
    return written


class _TarRange(TypedDict):
    """A file's bytes inside a tar."""

    path: str
    offset: int
    size: int


class _SampleBytes(TypedDict):
    """The byte ranges of a sample's video (its root's) and still."""

    media: _TarRange
    keyframe: _TarRange | None


def _byte_ranges(store: Store, shard: int, root: SelectedRoot, still: StoredStill | None) -> _SampleBytes:
    name = shard_name(shard)
    media = _TarRange(path=store.path(f"media/{name}.tar"), offset=root.mp4.offset, size=root.mp4.size)
    if still is None:
        return _SampleBytes(media=media, keyframe=None)
    keyframe = _TarRange(path=store.path(f"keyframes/{name}.tar"), offset=still.offset, size=still.size)
    return _SampleBytes(media=media, keyframe=keyframe)
