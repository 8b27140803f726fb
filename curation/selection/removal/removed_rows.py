"""Tables without the rows of removed videos: captions, texts, features, scores, selections, duplicates, labels.

A table is known by its columns, so that this holds for tables of later stages, too. Arrays that its record names are
written first and the table last, as when they were made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.selection.clip_marks import mark_counts
from curation.selection.removal.removal_work import RemovalWork
from curation.selection.removal.rewritten_files import array_without
from shards.artifact import FOOTER_KEY, Artifact, FileFact
from shards.errors import ShardError
from shards.removal.traces import ID_LENGTH, KEY_COLUMNS, rows_of_videos
from shards.schema import FEATURES, SELECTION
from shards.scores.score_set import STAGE as SCORE_STAGE
from shards.scores.score_writer import scores_digest
from shards.writer import commit_record, commit_tables

_NO_NOTES: Final = (FOOTER_KEY, "ARROW:schema")
_OWN: tuple[str, ...] = tuple(name for name in KEY_COLUMNS if name != "group")
"""Columns that say which video a row is of; the group of duplicates is another clip's."""


def rewrite_table(work: RemovalWork, name: str) -> bool:
    """Write a table anew without rows of removed videos, and with the present digests of its inputs.

    Returns:
        True if it has changed. Its present digest is noted in either case.

    Raises:
        ShardError: it is damaged.
        FileNotFoundError: it is gone.
    """
    with work.store.open(name) as opened:
        file = pq.ParquetFile(opened)
        footer = file.metadata.metadata or {}
        record = footer.get(FOOTER_KEY.encode())
        artifact = None if record is None else Artifact.from_json(record)
        ids = work.removal.ids
        dropped = [rows_of_videos(piece, ids) for piece in _pieces(file, KEY_COLUMNS)]
        any_dropped = any(rows.any() for rows in dropped)
        if artifact is None:
            return any_dropped and _rewrite_plain(work, name, file)
        inputs = work.inputs(artifact.inputs)
        if not any_dropped and inputs == dict(artifact.inputs):
            work.digests[name] = artifact.digest
            return False
        files = _arrays(work, name, file, artifact) if any_dropped else dict(artifact.files)
        figures: Counter[str] = Counter()

        def changed() -> Artifact:
            is_clips = artifact.counts.get("clips") == file.metadata.num_rows
            counts = _counts(artifact.counts, figures) if any_dropped and is_clips else artifact.counts
            return replace(artifact, inputs=inputs, files=files, counts=counts)

        schema = file.schema_arrow.remove_metadata()
        tables = _counted(_tables(file, work), figures)
        if artifact.stage == SCORE_STAGE:
            work.digests[name] = _commit_scores(work, name, pa.concat_tables(tables), changed())
        else:
            made = commit_tables(work.store, work.scratch, name, tables, changed, schema, _notes(file))
            work.digests[name] = made.digest
    return True


def _notes(file: pq.ParquetFile) -> dict[str, str]:
    """Return the texts in a footer beside the record: the recipe of a selection."""
    metadata: Mapping[bytes, bytes] = file.metadata.metadata or {}
    return {key.decode(): text.decode() for key, text in metadata.items() if key.decode() not in _NO_NOTES}


def _commit_scores(work: RemovalWork, name: str, table: pa.Table, record: Artifact) -> str:
    """Commit a table of scores, whose digest covers its vectors, and return the digest."""
    changed = replace(record, digest=scores_digest(table, record.files))
    commit_record(work.store, work.scratch, name, table, changed)
    return changed.digest


def _rewrite_plain(work: RemovalWork, name: str, file: pq.ParquetFile) -> bool:
    """Write a table anew that has no record of this program."""
    local = work.scratch / "rewritten.parquet"
    table = pa.concat_tables(_tables(file, work)).replace_schema_metadata(file.schema_arrow.metadata)
    pq.write_table(table, local, compression="zstd")
    work.store.commit(local, name)
    return True


def _pieces(file: pq.ParquetFile, columns: tuple[str, ...] | None = None) -> Iterator[pa.Table]:
    """Yield the row groups of a table, or some of their columns."""
    names = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
    for group in range(file.num_row_groups):
        yield file.read_row_group(group, names, use_threads=False)


def _tables(file: pq.ParquetFile, work: RemovalWork) -> Iterator[pa.Table]:
    """Yield the rows that are left, row group by row group; tables whose rows hang together as one."""
    names = set(file.schema_arrow.names)
    if "group" in names or set(FEATURES.names) <= names:
        whole = file.read(use_threads=False)
        yield _regrouped(_left(whole, work), work) if "group" in names else _renumbered(_left(whole, work))
        return
    for piece in _pieces(file):
        yield _left(piece, work)


def _left(table: pa.Table, work: RemovalWork) -> pa.Table:
    return table.filter(pa.array(~rows_of_videos(table, work.removal.ids, _OWN)))


def _renumbered(features: pa.Table) -> pa.Table:
    """Return rows of `shards.schema.FEATURES` with their first row in the array that is left."""
    rows = features["rows"].to_numpy().astype(np.int64)
    first = pa.array(np.concatenate([[0], np.cumsum(rows)[:-1]]) if len(rows) else rows, pa.int64())
    return features.set_column(features.schema.get_field_index("first"), features.schema.field("first"), first)


def _regrouped(duplicates: pa.Table, work: RemovalWork) -> pa.Table:
    """Return groups of duplicates of which removed clips were a part.

    A group whose chosen clip is gone chooses the first one that is left; a group of one is none.
    """
    groups = duplicates["group"].to_pylist()
    keys = duplicates["key"].to_pylist()
    chosen: dict[str, str] = {}
    for group, key in zip(groups, keys, strict=True):
        chosen.setdefault(group, group if group[:ID_LENGTH] not in work.removal.ids else key)
    renamed = [chosen[group] for group in groups]
    columns = {"group": pa.array(renamed, duplicates.schema.field("group").type)}
    if "keep" in duplicates.column_names:
        kept = duplicates["keep"].to_pylist()
        again = [
            keep or (chosen[group] != group and key == chosen[group])
            for keep, group, key in zip(kept, groups, keys, strict=True)
        ]
        columns["keep"] = pa.array(again, pa.bool_())
    for name, column in columns.items():
        duplicates = duplicates.set_column(
            duplicates.schema.get_field_index(name), duplicates.schema.field(name), column
        )
    sizes = Counter(renamed)
    return duplicates.filter(pa.array([sizes[group] > 1 for group in renamed], pa.bool_()))


def _arrays(work: RemovalWork, name: str, file: pq.ParquetFile, artifact: Artifact) -> dict[str, FileFact]:
    """Write the arrays of a table anew without the rows of its dropped rows; return the facts of all its files."""
    arrays = [one for one in artifact.files if PurePosixPath(one).suffix == ".npy"]
    if not arrays:
        return dict(artifact.files)
    if len(arrays) < len(artifact.files):
        raise ShardError(f"{name}: names files that `curate remove` does not know: {', '.join(artifact.files)}")
    table = file.read(use_threads=False)
    dropped: NDArray[np.bool_] = rows_of_videos(table, work.removal.ids, _OWN)
    if set(FEATURES.names) <= set(table.column_names):
        dropped = np.repeat(dropped, table["rows"].to_numpy())
    folder = PurePosixPath(name).parent  # the record of a layer that is to replace another names the files there
    return {
        one: array_without(work.store, str(folder / PurePosixPath(one).name), dropped, work.scratch) for one in arrays
    }


def _counted(tables: Iterator[pa.Table], figures: Counter[str]) -> Iterator[pa.Table]:
    """Yield tables, and add up their figures: clips, and the marks of a selection."""
    for table in tables:
        if set(SELECTION.names) <= set(table.column_names):
            figures.update(mark_counts(table))
        else:
            figures["clips"] += table.num_rows
        yield table


def _counts(before: Mapping[str, float], now: Counter[str]) -> dict[str, float]:
    """Return the figures of a table, with those renewed that follow from its rows; others tell what making it took."""
    kept = {name: value for name, value in before.items() if not name.startswith("dropped:") or "kept" not in now}
    renewed = {name: float(now[name]) for name in before if name in now}
    reasons = {name: float(value) for name, value in now.items() if name.startswith("dropped:") and "kept" in before}
    return kept | renewed | reasons
