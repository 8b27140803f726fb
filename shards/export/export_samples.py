"""`curate export`: samples for other tools, from one text layer of a DIR.

``webdataset`` writes self-contained tars, ``00000.tar`` and on, each with a Parquet of the same rows and its
figures beside it, which stock `webdataset`, `open_clip` and `video2dataset` read. ``hf`` writes a dataset that
`datasets.load_dataset` opens, ``lance`` a table with vectors and full-text search. ``jsonl`` copies no bytes: each line
is a sample with the byte ranges of its video and its still in the DIR. The number of samples is in ``__len__`` (not in
a ``sizes.json``: video2dataset takes every ``*.json`` for a shard of its own).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from shards.errors import ShardError
from shards.export.export_counts import ExportCounts
from shards.export.export_record import ExportRecord, check_output, digest_of, write_record
from shards.export.export_rows import export_schema
from shards.export.export_scores import ExportScores
from shards.export.export_selection import ExportSelection
from shards.export.export_source import ExportSource, Progress
from shards.export.export_vectors import ExportVectors
from shards.export.formats.hf_dataset import VideoStorage, write_dataset
from shards.export.formats.jsonl_lines import write_lines
from shards.export.formats.lance_table import check_lance, write_lance
from shards.export.formats.webdataset_tars import write_tars
from shards.reader import media_shards, shards_in, text_layers
from shards.removal.tombstones import removed_ids
from shards.removal.unfinished import refuse_unfinished
from shards.selections.marked_texts import selection_of
from shards.storage.store import Store

Format = Literal["webdataset", "hf", "lance", "jsonl"]
LENGTH_NAME: Final = "__len__"


def export(
    store: Store,
    selection: ExportSelection,
    *,
    format: Format,
    output: str | Path,
    max_per_tar: int = 1000,
    video: VideoStorage = "bytes",
    progress: Progress | None = None,
    counts: ExportCounts | None = None,
    reuse: bool = False,
) -> int:
    """Write the clips of a text layer as samples for other tools.

    Args:
        store: the DIR.
        selection: the clips. With the unit ``clip`` a sample is cut out of its root by copy; with ``root`` it is the
            root, with its whole tree in the json.
        format: ``webdataset`` (tars with mp4, json, txt, jpg), ``hf`` (Parquet with the features of `datasets`),
            ``lance`` (a table with vectors), or ``jsonl`` (lines that refer to bytes of the DIR).
        output: an empty or new folder, or fsspec URL.
        max_per_tar: of ``webdataset``: samples a tar at most; a tar is also closed at 1 GiB.
        video: of ``hf`` and ``lance``: ``bytes`` puts videos into the tables, ``reference`` writes them as files.
        progress: called with (shards done, shards in all).
        counts: what is left out or without text is added to it, by reason.
        reuse: take the output as it is if it holds this very export, complete.

    Returns:
        Samples written.

    Raises:
        ShardError: no such layer, no marks for it, the output is not empty, the selection can't work, or a removal was
            interrupted.
        OSError: the disk is full or can't be written; only whole files are in the output then.
    """
    target = Store(output)
    if format == "lance":
        check_lance(target)
    source = _open_source(store, selection, ExportCounts() if counts is None else counts)
    digest = digest_of(source, {"format": format, "max_per_tar": max_per_tar, "video": video})
    if (made := check_output(target, digest, reuse=reuse)) is not None:
        return made.samples
    schema = export_schema(source.scores.field)
    match format:
        case "jsonl":
            written = write_lines(source, target, progress)
        case "hf":
            written = write_dataset(source.samples(progress), target, schema, video)
        case "lance":
            written = write_lance(source.samples(progress), target, schema, ExportVectors(store), video)
        case "webdataset":
            written = write_tars(source.samples(progress), target, schema, max_per_tar)
    target.commit_bytes(f"{written}\n".encode(), LENGTH_NAME)
    write_record(target, ExportRecord(digest, written))
    return written


def _open_source(store: Store, selection: ExportSelection, counts: ExportCounts) -> ExportSource:
    """Return the inputs of an export, after a look at all that the user named."""
    refuse_unfinished(store)
    layer = selection.layer
    if layer not in text_layers(store):
        raise ShardError(f"--layer {layer}: no such text layer (there are: {', '.join(text_layers(store)) or 'none'})")
    layer_shards = shards_in(store.list(f"text/{layer}"))
    condition = selection.condition(store, layer_shards)
    marks = selection_of(store, layer, selection.selection)
    shards = sorted(set(media_shards(store)) & set(layer_shards))
    marked = [shard for shard in shards if marks is None or shard in marks.shards]
    counts.shards_without_marks += len(shards) - len(marked)
    scores = ExportScores.open(store)
    return ExportSource(store, marked, selection, marks, condition, scores, removed_ids(store), counts)
