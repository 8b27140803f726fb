"""Writes the shards of a checkpoint as safetensors, and commits it when the shards of all ranks are written.

torch.distributed.checkpoint (DCP) calls `ShardWriter` on every rank: `write_data` writes this rank's files, and
`finish` runs on rank 0 after all ranks have written. DCP's own file writer pickles an index; this one needs none,
because a safetensors file names its tensors and their offsets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from shards.storage.files import file_sha256

Files = Mapping[str, tuple[int, str]]
"""Size and SHA-256 of files, by name."""

_FILE_BYTES: Final = 1 << 29
"""Tensors of about so many bytes make one file: DCP holds a file in memory once more while it writes it."""


class ShardWriter(HuggingFaceStorageWriter):
    """DCP's safetensors writer, with a digest of each file and a commit."""

    def __init__(self, folder: Path, sizes: Mapping[str, int], commit: Callable[[Files], None]) -> None:
        """Write into a folder.

        Args:
            folder: made if it does not exist.
            sizes: bytes of each tensor, those of other ranks included; equal on all ranks.
            commit: called on rank 0 with all files when every rank has written its own.
        """
        super().__init__(str(folder), fqn_to_index_mapping=_files_of(sizes), save_distributed=True)
        self._commit = commit

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write this rank's files; each result has its file's size and digest for rank 0."""
        results = super().write_data(plan, planner).wait()
        names = {result.storage_data.relative_path for result in results}
        files = {name: _described(Path(str(self.path)) / name) for name in names}
        described: Future[list[WriteResult]] = Future()
        described.set_result([_with(result, files[result.storage_data.relative_path]) for result in results])
        return described

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Commit the checkpoint with the files of all ranks; `metadata` is in the files themselves."""
        written = [result.storage_data for of_rank in results for result in of_rank]
        self._commit(dict(sorted(written)))


def _files_of(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the number of the file, from 1, that each tensor is written to."""
    numbers: dict[str, int] = {}
    number, filled = 1, 0
    for name, size in sorted(sizes.items()):
        if filled and filled + size > _FILE_BYTES:
            number, filled = number + 1, 0
        numbers[name], filled = number, filled + size
    return numbers


def _described(path: Path) -> tuple[int, str]:
    return path.stat().st_size, file_sha256(path)


def _with(result: WriteResult, described: tuple[int, str]) -> WriteResult:
    """Return a result that carries the name, size and digest of its file."""
    data: Any = (result.storage_data.relative_path, described)
    return dataclasses.replace(result, storage_data=data)
