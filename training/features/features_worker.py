"""Makes one shard's features: decodes each root frame by frame, encodes the frames, and writes rows with times.

    media/<shard>.{parquet,tar} (or the original files)  ->  features/<name>/<shard>.{npy,parquet}

A worker of the stage that `training.features.features_stage` runs. A root that fails becomes a row without features
and is counted by reason; only a fault of the machine ends the run.

Shapes: N rows of a root, D features.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch

from runtime.attempts import DEATHS_ALLOWED, Attempts
from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.ray_runner.progress import FAILED, report
from runtime.ray_runner.stage import Service, ShardResult
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.schema import FEATURES
from shards.storage.store import Store
from shards.storage.tar import read_span
from shards.writer import Artifact, commit_table
from training.data.clip_failure import ClipFailed
from training.data.decoding.clip_decoder import damage_as_clip_failure, stream_span
from training.data.decoding.packet_index import Video, open_video
from training.features.encoders.encoder_interface import Encoder, Rows
from training.features.encoders.encoder_registry import open_encoder
from training.features.encoders.encoder_settings import EncoderSettings
from training.features.feature_writer import FeatureRow, FeatureWriter
from training.features.original_videos import MISSING, Originals

_COLUMNS = (
    *("key", "parent_key", "video_id", "source", "start", "offset", "num_frames", "fps"),
    *("byte_offset", "byte_size"),
)
_RATE_SLACK = 0.99
_SHORT_SECONDS = 1.0  # an original may end this much before the root that was cut from it: encoding rounds


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
    from_originals: bool = False
    """Decode the files that roots were cut from, instead of the stored roots."""
    originals: str | None = None
    """Folder with downloads, for sources that are URLs."""


@dataclass(frozen=True)
class RootToEncode:
    """One root to encode."""

    key: str
    video_id: str
    source: str
    first_frame: float
    """Time of the first stored frame, seconds of the video."""
    num_frames: int
    fps: float
    byte_offset: int
    byte_size: int

    @property
    def seconds(self) -> float:
        """Length of the root."""
        return self.num_frames / self.fps

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Build from a row of `shards.schema.CLIPS`."""
        return cls(
            key=row["key"],
            video_id=row["video_id"],
            source=row["source"],
            first_frame=row["start"] - row["offset"],
            num_frames=row["num_frames"],
            fps=row["fps"],
            byte_offset=row["byte_offset"],
            byte_size=row["byte_size"],
        )


@dataclass(frozen=True)
class EncodedRoot:
    """The features of a root, or the reason of its failure."""

    key: str
    rows: Rows | None
    failed: str | None = None


def features_worker(job: FeaturesJob, services: Mapping[str, Service]) -> FeaturesWorker:
    """Build a worker inside its own process; the encoder is loaded here."""
    originals = Originals(Path(job.originals) if job.originals else None) if job.from_originals else None
    return FeaturesWorker(job, open_encoder(job.encoder), originals)


class FeaturesWorker:
    """Extracts the features of shards; see `runtime.ray_runner.stage.Worker`."""

    def __init__(self, job: FeaturesJob, encoder: Encoder, originals: Originals | None) -> None:
        """Decode the stored roots if `originals` is None, otherwise the original files."""
        self._job, self._encoder, self._originals = job, encoder, originals
        self._store, self._scratch = Store(job.root), Path(job.scratch)

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
        clips = read_table(self._store, media, _COLUMNS).to_pylist()
        roots = [RootToEncode.of(row) for row in clips if row["parent_key"] is None]
        attempts = Attempts(self._scratch / "attempts" / stem)
        with _scratch_file(self._scratch / f"{stem}.npy") as local:
            with FeatureWriter(local, self._encoder.width) as writer:
                encoded = self._encoded(shard, roots, attempts)
                rows = [writer.add(root.key, root.rows, root.failed) for root in encoded]
            counts = _counts(roots, rows)
            files = {f"{self._job.name}/{stem}.npy": writer.fact}
            artifact = Artifact("features", self._job.content_hash, "", {media: digest}, files, counts)
            self._store.delete(f"{self._job.folder}/{stem}.parquet")
            self._store.commit(local, f"{self._job.folder}/{stem}.npy")
        table = pa.Table.from_pylist(rows, schema=FEATURES)
        commit_table(self._store, self._scratch, f"{self._job.folder}/{stem}.parquet", table, artifact)
        shutil.rmtree(self._scratch / "attempts" / stem, ignore_errors=True)
        return counts

    def _encoded(self, shard: int, roots: Sequence[RootToEncode], attempts: Attempts) -> Iterator[EncodedRoot]:
        """Encode every root in order; an original is opened once for all of its roots."""
        for path, group in groupby(roots, key=lambda root: self._original(root) or root.key):
            members = list(group)
            done = 0
            try:
                if attempts.deaths(members[0].key) >= DEATHS_ALLOWED:
                    raise ClipFailed("undecodable", "it ended its worker process twice")
                with attempts.attempt(members[0].key), ExitStack() as stack:
                    with damage_as_clip_failure():
                        video = stack.enter_context(open_video(self._bytes(shard, members[0], path)))
                    for root in members:
                        encoded = self._encode(root, video)
                        done += 1
                        report({"clips": 1, "rows": 0 if encoded.rows is None else len(encoded.rows.times_N)})
                        yield encoded
            except ClipFailed as failed:
                for root in members[done:]:
                    report({"clips": 1, f"{FAILED}{failed.reason}": 1})
                    yield EncodedRoot(root.key, None, failed.reason)

    def _original(self, root: RootToEncode) -> Path | None:
        return self._originals.path_of(root.source, root.video_id) if self._originals is not None else None

    def _bytes(self, shard: int, root: RootToEncode, path: Path | str) -> bytes | Path:
        """Return what the decoder opens: the bytes of the stored root, or the file that it was cut from."""
        if self._originals is None:
            return read_span(self._store, f"media/{shard_name(shard)}.tar", root.byte_offset, root.byte_size)
        if isinstance(path, str):
            raise ClipFailed(MISSING, f"{root.key}: no original of {root.source}")
        return path

    def _encode(self, root: RootToEncode, video: Video) -> EncodedRoot:
        """Encode one root of an open video."""
        start = 0.0 if self._originals is None else root.first_frame - _first_shown(video)
        try:
            self._check(root, video, start)
            frames, size = self._encoder.frames(root.seconds), self._encoder.short_side
            span = stream_span(video, start, start + root.seconds, frames, size=size)
            rows = self._encoder.encode(span, root.seconds)
            if not np.isfinite(rows.features_ND).all():
                raise ClipFailed("not_finite", f"{root.key}: features are infinite or not a number")
        except ClipFailed as failed:
            report({f"{FAILED}{failed.reason}": 1})
            return EncodedRoot(root.key, None, failed.reason)
        return EncodedRoot(root.key, rows)

    def _check(self, root: RootToEncode, video: Video, start: float) -> None:
        """Refuse a stored root with too few frames per second, and an original that ends before the root."""
        if self._originals is None:
            if root.fps < self._needed_rate() * _RATE_SLACK:
                raise ClipFailed("low_rate", f"{root.key}: stored at {root.fps:g} frames a second")
            return
        end = max(video.timeline.end, video.stated_end)
        if end < start + root.seconds - _SHORT_SECONDS:
            raise ClipFailed("truncated", f"{root.key}: the original ends before the root, at {end:.1f} s")

    def _needed_rate(self) -> float:
        """Return the least frames per second of a stored root: for a network for clips, repeats look like stillness."""
        return self._encoder.fps if self._encoder.frames_per_row > 1 else 0.0


def _first_shown(video: Video) -> float:
    """Return the time of the first frame, counted from the container's start as curation does; seconds."""
    begin = float(video.stamps[0] * video.stream.time_base) if video.stamped else 0.0
    container = video.stream.container
    return begin - (container.start_time or 0) / 1_000_000 if video.stamped else 0.0


def _counts(roots: Sequence[RootToEncode], rows: Sequence[FeatureRow]) -> dict[str, float]:
    failed = Counter(f"{FAILED}{row['failed']}" for row in rows if row["failed"])
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
