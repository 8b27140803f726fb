"""Writes the array of a shard's features root by root, so that it is never in memory as a whole.

Shapes: N rows of a root, D features.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import numpy as np

from shards.artifact import FileFact
from shards.storage.files import stream_sha256
from training.features.encoders.encoder_interface import Rows


class FeatureRow(TypedDict):
    """One row of `shards.schema.FEATURES`: the features of a root within the array of its shard."""

    root_key: str
    first: int
    """Row of the array at which the root begins."""
    rows: int
    times: list[float]
    """Seconds from the root's first frame, one per row."""
    failed: str | None
    """Reason of failure; None if the root has features."""


class FeatureWriter:
    """Writes a ``.npy`` file of float16 [rows, D]; use it as a context manager."""

    def __init__(self, path: Path, width: int) -> None:
        """Write to `path`; `width` is D."""
        self._path, self._width = path, width
        self._rows = 0
        self.fact = FileFact(0, "")
        """Size and SHA-256 of the file after it is closed."""

    def __enter__(self) -> FeatureWriter:
        self._file = self._path.open("w+b")
        self._write_header()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._write_header()  # of the same length: numpy leaves room for the number of rows to grow
                self._file.seek(0)
                digest = stream_sha256(self._file)
                self.fact = FileFact(self._file.tell(), digest)

    def add(self, root_key: str, rows: Rows | None, failed: str | None) -> FeatureRow:
        """Append a root's features, and return its row of the table."""
        first = self._rows
        if rows is None:
            return FeatureRow(root_key=root_key, first=first, rows=0, times=[], failed=failed)
        count = len(rows.times_N)
        assert rows.features_ND.shape == (count, self._width), "as the encoder said"
        self._file.write(np.ascontiguousarray(rows.features_ND.astype(np.float16)).tobytes())
        self._rows += count
        return FeatureRow(root_key=root_key, first=first, rows=count, times=rows.times_N.tolist(), failed=failed)

    def _write_header(self) -> None:
        shape = {"descr": "<f2", "fortran_order": False, "shape": (self._rows, self._width)}
        np.lib.format.write_array_header_1_0(self._file, shape)
