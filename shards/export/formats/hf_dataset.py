"""A dataset that `datasets.load_dataset(folder)` opens, also with ``streaming=True``, and that the hub shows.

The splits are those of the selection; ``val`` is called ``validation``, as the hub calls it. Two layouts:

- ``bytes``: ``data/<split>-00000.parquet`` and on; the column ``video`` holds the bytes of each video.
- ``reference``: ``<split>/00000/<key>.mp4`` and on beside ``<split>/00000/metadata.parquet``, whose column
  ``file_name`` names the videos: the layout ``videofolder`` of `datasets`, which resolves a path only there relative to
  the dataset.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import pyarrow as pa

from shards.errors import ShardError
from shards.export.export_source import ExportSample
from shards.export.formats.column_types import featured_row, featured_schema
from shards.export.formats.parquet_parts import ParquetParts, parquet_writer
from shards.storage.store import Store

VideoStorage = Literal["bytes", "reference"]
SPLIT_NAMES: Final = {"val": "validation"}
"""Names of splits that the hub words differently."""
VIDEOS_PER_FOLDER: Final = 1000
_DATA: Final = "data"
_SPLIT: Final = re.compile(r"\w{1,64}", re.ASCII)


class _SplitWriter(Protocol):
    """Writes the samples of one split."""

    def add(self, sample: ExportSample) -> None:
        """Append a sample."""

    def close(self) -> None:
        """Write what is left."""


def write_dataset(samples: Iterable[ExportSample], target: Store, schema: pa.Schema, video: VideoStorage) -> int:
    """Write samples as a dataset, and return how many were written; failed samples are left out.

    Args:
        samples: in any order of splits.
        target: the empty output.
        schema: columns of the samples (`shards.export.export_rows.export_schema`).
        video: layout.

    Raises:
        ShardError: a clip has no split.
        OSError: the disk is full or can't be written; only whole files are in the output then.
    """
    written = 0
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        splits: dict[str, _SplitWriter] = {}
        for sample in samples:
            if sample.error is None:
                name = _split_name(sample)
                if name not in splits:
                    splits[name] = _LAYOUTS[video](target, name, schema, Path(scratch))
                splits[name].add(sample)
                written += 1
        for split in splits.values():
            split.close()
    return written


def data_files(target: Store) -> Mapping[str, str]:
    """Return the pattern of each split's files in a dataset that `write_dataset` wrote, for its README."""
    stems = {name.rsplit("-", 1)[0] for name in target.list(_DATA)}
    if stems:
        return {stem: f"{_DATA}/{stem}-*.parquet" for stem in sorted(stems)}
    return {name: f"{name}/**" for name in target.folders()}


def _split_name(sample: ExportSample) -> str:
    split = sample.row["split"]
    if not isinstance(split, str) or _SPLIT.fullmatch(split) is None:
        raise ShardError(
            f"clip {sample.row['key']}: its selection gives it the split {split!r}; make the selection again with "
            "`curate select` or `curate run --stages select`"
        )
    return SPLIT_NAMES.get(split, split)


class _ParquetSplit:
    """A split whose videos are in its Parquet files."""

    def __init__(self, target: Store, split: str, schema: pa.Schema, scratch: Path) -> None:
        self._parts = ParquetParts(target, f"{_DATA}/{split}", featured_schema(schema, video=True), scratch)

    def add(self, sample: ExportSample) -> None:
        self._parts.add(featured_row(sample, video=True), sample.size)

    def close(self) -> None:
        self._parts.close()


class _FolderSplit:
    """A split whose videos are files, in folders of at most `VIDEOS_PER_FOLDER` with a table each."""

    def __init__(self, target: Store, split: str, schema: pa.Schema, scratch: Path) -> None:
        columns = featured_schema(schema, video=False)
        self._schema = columns.insert(0, pa.field("file_name", pa.string()))
        self._target, self._split, self._scratch = target, split, scratch
        self._rows: list[Mapping[str, Any]] = []
        self._folders = 0

    def add(self, sample: ExportSample) -> None:
        name = f"{sample.row['key']}.mp4"
        self._target.commit_bytes(sample.mp4, f"{self._folder}/{name}")
        self._rows.append({"file_name": name, **featured_row(sample, video=False)})
        if len(self._rows) == VIDEOS_PER_FOLDER:
            self.close()

    def close(self) -> None:
        if self._rows:
            path = self._scratch / f"{self._split}.parquet"
            with parquet_writer(path, self._schema) as writer:
                writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema), row_group_size=100)
            self._target.commit(path, f"{self._folder}/metadata.parquet")
            self._rows, self._folders = [], self._folders + 1

    @property
    def _folder(self) -> str:
        return f"{self._split}/{self._folders:05d}"


_LAYOUTS: Final[Mapping[str, Callable[[Store, str, pa.Schema, Path], _SplitWriter]]] = {
    "bytes": _ParquetSplit,
    "reference": _FolderSplit,
}
