"""One shard's features: each root is decoded frame by frame, goes through the encoder, and becomes rows with times.

    media/<shard>.{parquet,tar} (or the original files)  ->  features/<name>/<shard>.{npy,parquet}

A worker of the stage that `training.features.features_stage` runs. What is wrong with one root is a row without features and
a count; only the machine ends the run.

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
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from runtime.attempts import DEATHS_ALLOWED, Attempts
from runtime.errors import MachineError, UserError, is_machine_fault, one_line
from runtime.ray_runner.progress import FAILED, report
from runtime.ray_runner.stage import Service, ShardResult
from shards.artifact import FileFact
from shards.errors import ShardError
from shards.keys import shard_name
from shards.reader import read_artifact, read_table
from shards.schema import FEATURES
from shards.storage.files import stream_sha256
from shards.storage.store import Store
from shards.storage.tar import read_span
from shards.writer import Artifact, commit_table
from training.data.clip_failure import ClipFailed
from training.data.decoding.clip_decoder import damage_as_clip_failure, stream_span
from training.data.decoding.packet_index import Video, open_video
from training.features.encoder_registry import Encoder, open_encoder
from training.features.encoder_settings import EncoderSettings
from training.features.original_videos import MISSING, Originals
from training.features.row_encoders import Rows

_COLUMNS = (
    *("key", "parent_key", "video_id", "source", "start", "offset", "num_frames", "fps"),
    *("byte_offset", "byte_size"),
)
_RATE_SLACK = 0.99
_SHORT_SECONDS = 1.0  # by which an original may end before a root that was cut from it: what encoding rounds
_NO_TIMES: NDArray[np.float32] = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Place:
    """Where a worker reads and writes."""

    root: str
    """The DIR."""
    folder: str
    """Folder of the DIR that is written, ``features/<name>`` or one that takes its place later."""
    name: str
    """Folder that the artifacts are for, ``features/<name>``."""
    scratch: str
    """Local folder for files that grow."""
    content_hash: str
    """Of the folder."""
    from_originals: bool = False
    """Decode the files that roots were cut from, not the stored roots."""
    originals: str | None = None
    """Folder with downloads."""


@dataclass(frozen=True)
class Root:
    """One root to encode."""

    key: str
    video_id: str
    source: str
    first_frame: float
    """Second of the video at which its first stored frame lies."""
    num_frames: int
    fps: float
    byte_offset: int
    byte_size: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.num_frames / self.fps

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Root:
        """From a row of `shards.schema.CLIPS`."""
        named = {name: row[name] for name in ("key", "video_id", "source", "num_frames", "fps")}
        span = {name: row[name] for name in ("byte_offset", "byte_size")}
        return cls(first_frame=row["start"] - row["offset"], **named, **span)


def features_worker(place: Place, settings: EncoderSettings, services: Mapping[str, Service]) -> FeaturesWorker:
    """Build a worker inside its own process: the encoder is loaded here."""
    originals = Originals(Path(place.originals) if place.originals else None) if place.from_originals else None
    return FeaturesWorker(place, open_encoder(settings), originals)


class FeaturesWorker:
    """Extracts the features of shards; see `runtime.ray_runner.stage.Worker`."""

    def __init__(self, place: Place, encoder: Encoder, originals: Originals | None) -> None:
        """`originals`: where to find the original files; None: the stored roots are decoded."""
        self._place, self._encoder, self._originals = place, encoder, originals
        self._store, self._scratch = Store(place.root), Path(place.scratch)

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
        roots = [Root.of(row) for row in clips if row["parent_key"] is None]
        attempts = Attempts(self._scratch / "attempts" / stem)
        with _scratch_file(self._scratch / f"{stem}.npy") as local:
            with FeatureWriter(local, self._encoder.width) as writer:
                rows = [writer.add(*found) for found in self._encoded(shard, roots, attempts)]
            counts = _counts(roots, rows)
            files = {f"{self._place.name}/{stem}.npy": writer.fact}
            artifact = Artifact("features", self._place.content_hash, "", {media: digest}, files, counts)
            self._store.delete(f"{self._place.folder}/{stem}.parquet")
            self._store.commit(local, f"{self._place.folder}/{stem}.npy")
        table = pa.Table.from_pylist(rows, schema=FEATURES)
        commit_table(self._store, self._scratch, f"{self._place.folder}/{stem}.parquet", table, artifact)
        shutil.rmtree(self._scratch / "attempts" / stem, ignore_errors=True)
        return counts

    def _encoded(
        self, shard: int, roots: Sequence[Root], attempts: Attempts
    ) -> Iterator[tuple[str, Rows | None, str | None]]:
        """Key, features and reason of failure of every root, in order; an original is opened once for its roots."""
        for path, group in groupby(roots, key=lambda root: self._original(root) or root.key):
            members = list(group)
            done = 0
            try:
                if attempts.deaths(members[0].key) >= DEATHS_ALLOWED:
                    raise ClipFailed("undecodable", "it ended its worker process twice")
                with attempts.alive(members[0].key), ExitStack() as stack:
                    with damage_as_clip_failure():
                        video = stack.enter_context(open_video(self._bytes(shard, members[0], path)))
                    for root in members:
                        found = self._one(root, video)
                        done += 1
                        report({"clips": 1, "rows": 0 if found[1] is None else len(found[1].times_N)})
                        yield found
            except ClipFailed as failed:
                for root in members[done:]:
                    report({"clips": 1, f"{FAILED}{failed.reason}": 1})
                    yield root.key, None, failed.reason

    def _original(self, root: Root) -> Path | None:
        return self._originals.path_of(root.source, root.video_id) if self._originals is not None else None

    def _bytes(self, shard: int, root: Root, path: Path | str) -> bytes | Path:
        """What a decoder opens: the stored root, or the file it was cut from."""
        if self._originals is None:
            return read_span(self._store, f"media/{shard_name(shard)}.tar", root.byte_offset, root.byte_size)
        if isinstance(path, str):
            raise ClipFailed(MISSING, f"{root.key}: no original of {root.source}")
        return path

    def _one(self, root: Root, video: Video) -> tuple[str, Rows | None, str | None]:
        """Key, features and reason of failure of one root of an open video."""
        start = 0.0 if self._originals is None else root.first_frame - _first_shown(video)
        try:
            if self._originals is None and root.fps < self._needed_rate() * _RATE_SLACK:
                raise ClipFailed("low_rate", f"{root.key}: stored at {root.fps:g} frames a second")
            there = max(video.timeline.end, video.stated_end)
            if self._originals is not None and there < start + root.seconds - _SHORT_SECONDS:
                raise ClipFailed("truncated", f"{root.key}: the original ends before the root, at {there:.1f} s")
            count = self._encoder.frames(root.seconds)
            size = self._encoder.short_side
            rows = self._encoder.encode(stream_span(video, start, start + root.seconds, count, size=size), root.seconds)
            if not np.isfinite(rows.features_ND).all():
                raise ClipFailed("not_finite", f"{root.key}: features that are no numbers")
        except ClipFailed as failed:
            report({f"{FAILED}{failed.reason}": 1})
            return root.key, None, failed.reason
        return root.key, rows, None

    def _needed_rate(self) -> float:
        """Frames a second that a stored root must have: a network for clips would see repeated ones as stillness."""
        return self._encoder.fps if self._encoder.frames_per_row > 1 else 0.0


class FeatureWriter:
    """Writes a shard's array row by row, so that it is never held; use as a context manager."""

    def __init__(self, path: Path, width: int) -> None:
        """`width`: D."""
        self._path, self._width = path, width
        self._rows = 0
        self.fact = FileFact(0, "")
        """Size and SHA-256, once it is closed."""

    def __enter__(self) -> FeatureWriter:
        self._file = self._path.open("w+b")
        self._header()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._header()  # the same length: numpy leaves room for the number of rows to grow
                self._file.seek(0)
                digest = stream_sha256(self._file)
                self.fact = FileFact(self._file.tell(), digest)

    def add(self, root_key: str, rows: Rows | None, failed: str | None) -> dict[str, Any]:
        """Append a root's features; its row of `shards.schema.FEATURES`."""
        first, count = self._rows, 0 if rows is None else len(rows.times_N)
        if rows is not None:
            assert rows.features_ND.shape == (count, self._width), "as the encoder said"
            self._file.write(np.ascontiguousarray(rows.features_ND.astype(np.float16)).tobytes())
            self._rows += count
        times_N = _NO_TIMES if rows is None else rows.times_N
        return {"root_key": root_key, "first": first, "rows": count, "times": times_N.tolist(), "failed": failed}

    def _header(self) -> None:
        shape = {"descr": "<f2", "fortran_order": False, "shape": (self._rows, self._width)}
        np.lib.format.write_array_header_1_0(self._file, shape)


def _first_shown(video: Video) -> float:
    """Second of the video, as curation counts (from the container's start), at which the first frame is shown."""
    begin = float(video.stamps[0] * video.stream.time_base) if video.stamped else 0.0
    container = video.stream.container
    return begin - (container.start_time or 0) / 1_000_000 if video.stamped else 0.0


def _counts(roots: Sequence[Root], rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    failed = Counter(f"{FAILED}{row['failed']}" for row in rows if row["failed"])
    total = float(sum(row["rows"] for row in rows))
    return {"clips": float(len(rows)), "rows": total, "seconds": sum(root.seconds for root in roots), **failed}


@contextmanager
def _scratch_file(path: Path) -> Iterator[Path]:
    """A place for a file that is gone afterwards, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    except OSError as error:
        if is_machine_fault(error):
            raise MachineError(str(error)) from error
        raise
    finally:
        path.unlink(missing_ok=True)
