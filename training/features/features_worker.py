"""Makes one shard's features: encodes its roots, and commits the rows with their times.

    media/<shard>.{parquet,tar} (or the original files)  ->  features/<name>/<shard>.{npy,parquet}

A worker of the stage that `training.features.features_stage` runs. A root that fails becomes a row without features
and is counted by reason; only a fault of the machine ends the run.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import torch

from runtime.attempts import Attempts
from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.ray_runner.display.progress import FAILED
from runtime.ray_runner.stage import Service, ShardResult
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.schema import FEATURES
from shards.selections.selection import Selection
from shards.storage.store import Store
from shards.writer import Artifact, commit_table
from training.features.encoders.encoder_interface import Encoder
from training.features.encoders.encoder_registry import open_encoder
from training.features.encoders.encoder_settings import EncoderSettings
from training.features.feature_writer import FeatureRow, FeatureWriter
from training.features.original_videos import Originals
from training.features.root_encoding import COLUMNS, RootEncoder, RootToEncode

NOT_SELECTED: Final = "not_selected"
"""The reason of roots without features because no clip of theirs was selected."""


@dataclass(frozen=True)
class FeaturesJob:
    """The work of a worker: folders, and what to encode with. Pickled into the worker's process."""

    root: str
    """The DIR."""
    folder: str
    """Folder of the DIR to write: ``features/<name>``, or one that replaces it later."""
    name: str
    """Folder that the artifacts name, ``features/<name>``."""
    scratch: str
    """Local folder for unfinished files."""
    content_hash: str
    """Hash of the feature set."""
    encoder: EncoderSettings
    selection: Selection | None = None
    """Only roots with a clip that it keeps are encoded; None: all roots."""
    from_originals: bool = False
    """Decode the files that roots were cut from, instead of the stored roots."""
    originals: str | None = None
    """Folder with downloads, for sources that are URLs."""


def features_worker(job: FeaturesJob, services: Mapping[str, Service]) -> FeaturesWorker:
    """Build a worker inside its own process; the encoder is loaded here."""
    originals = Originals(Path(job.originals) if job.originals else None) if job.from_originals else None
    return FeaturesWorker(job, open_encoder(job.encoder), originals)


class FeaturesWorker:
    """Extracts the features of shards; see `runtime.ray_runner.stage.Worker`."""

    def __init__(self, job: FeaturesJob, encoder: Encoder, originals: Originals | None) -> None:
        """Decode the stored roots if `originals` is None, otherwise the original files."""
        self._job, self._width = job, encoder.width
        self._store, self._scratch = Store(job.root), Path(job.scratch)
        self._roots = RootEncoder(self._store, encoder, originals)

    async def process(self, shard: int) -> ShardResult:
        """Make ``<folder>/<shard>.npy`` and, last, ``<folder>/<shard>.parquet``."""
        try:
            return ShardResult(await asyncio.to_thread(self._make, shard))
        except torch.OutOfMemoryError:
            return ShardResult(fatal=f"features {shard_name(shard)}: the GPU's memory is full; lower batch_size")
        except Exception as error:
            if not (isinstance(error, UserError | ShardError | OSError) or is_machine_fault(error)):
                raise
            return ShardResult(fatal=f"features {shard_name(shard)}: {one_line(error)}")

    def _make(self, shard: int) -> dict[str, float]:
        stem, media = shard_name(shard), f"media/{shard_name(shard)}.parquet"
        digest = read_artifact(self._store, media).digest
        clips = read_table(self._store, media, [*COLUMNS, "root_key"]).to_pylist()
        roots = [RootToEncode.of(row) for row in clips if row["parent_key"] is None]
        chosen = self._chosen(shard, clips)
        inputs = {media: digest}
        if self._job.selection is not None and len(chosen) < len(roots):
            inputs[self._job.selection.file] = self._job.selection.digest
        attempts = Attempts(self._scratch / "attempts" / stem)
        with _scratch_file(self._scratch / f"{stem}.npy") as local:
            with FeatureWriter(local, self._width) as writer:
                wanted = [root for root in roots if root.key in chosen]
                encoded = self._roots.encode_all(f"media/{stem}.tar", wanted, attempts)
                rows = [writer.add(root.key, root.rows, root.failed) for root in encoded]
                rows += [writer.add(root.key, None, NOT_SELECTED) for root in roots if root.key not in chosen]
            counts = _counts(roots, rows)
            files = {f"{self._job.name}/{stem}.npy": writer.fact}
            artifact = Artifact("features", self._job.content_hash, "", inputs, files, counts)
            self._store.delete(f"{self._job.folder}/{stem}.parquet")
            self._store.commit(local, f"{self._job.folder}/{stem}.npy")
        table = pa.Table.from_pylist(rows, schema=FEATURES)
        commit_table(self._store, self._scratch, f"{self._job.folder}/{stem}.parquet", table, artifact)
        shutil.rmtree(self._scratch / "attempts" / stem, ignore_errors=True)
        return counts

    def _chosen(self, shard: int, clips: Sequence[Mapping[str, Any]]) -> set[str]:
        """Return the keys of the roots to encode."""
        if self._job.selection is None:
            return {clip["root_key"] for clip in clips}
        marks = self._job.selection.rows(shard)
        kept = set(marks.filter(marks["keep"])["key"].to_pylist())
        return {clip["root_key"] for clip in clips if clip["key"] in kept}


def _counts(roots: Sequence[RootToEncode], rows: Sequence[FeatureRow]) -> dict[str, float]:
    failed = Counter(f"{FAILED}{row['failed']}" for row in rows if row["failed"] not in (None, NOT_SELECTED))
    total = float(sum(row["rows"] for row in rows))
    return {"clips": float(len(rows)), "rows": total, "seconds": sum(root.seconds for root in roots), **failed}


@contextmanager
def _scratch_file(path: Path) -> Iterator[Path]:
    """Yield a path for a temporary file, and remove the file afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    except OSError as error:
        if is_machine_fault(error):
            raise MachineError(str(error)) from error
        raise
    finally:
        path.unlink(missing_ok=True)
