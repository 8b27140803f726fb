"""Encodes the roots of a shard: opens each root or its original, decodes frame by frame, and returns rows.

A root that can't be used is a value with a reason, so that the others are still encoded.

Shapes: N rows of a root, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np

from runtime.attempts import DEATHS_ALLOWED, Attempts
from runtime.ray_runner.display.progress import FAILED, report
from shards.storage.store import Store
from shards.storage.tar import read_span
from training.data.clip_failure import ClipFailed
from training.data.decoding.clip_decoder import damage_as_clip_failure, stream_span
from training.data.decoding.packet_index import Video, open_video
from training.features.encoders.encoder_interface import Encoder, Rows
from training.features.features_settings import RATE_SLACK
from training.features.original_videos import MISSING, Originals

COLUMNS = (
    *("key", "parent_key", "video_id", "source", "start", "offset", "num_frames", "fps"),
    *("byte_offset", "byte_size"),
)
"""Columns of the media table that `RootToEncode.of` reads, and `parent_key`, which is None for roots."""
_SHORT_SECONDS = 1.0  # an original may end this much before the root that was cut from it: encoding rounds


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


class RootEncoder:
    """Encodes roots of one DIR."""

    def __init__(self, store: Store, encoder: Encoder, originals: Originals | None) -> None:
        """Decode the stored roots if `originals` is None, otherwise the original files."""
        self._store, self._encoder, self._originals = store, encoder, originals

    def encode_all(self, tar: str, roots: Sequence[RootToEncode], attempts: Attempts) -> Iterator[EncodedRoot]:
        """Encode every root in order; an original is opened once for all of its roots.

        Args:
            tar: name of the shard's tar in the DIR.
            roots: of the shard.
            attempts: notes of earlier attempts, by which a root that ends its worker is recognised.

        Raises:
            ShardError: the tar can't be read.
            OSError: the store or the local disk failed.
        """
        for path, group in groupby(roots, key=lambda root: self._original(root) or root.key):
            members = list(group)
            done = 0
            try:
                if attempts.deaths(members[0].key) >= DEATHS_ALLOWED:
                    raise ClipFailed("undecodable", "it ended its worker process twice")
                with attempts.attempt(members[0].key), ExitStack() as stack:
                    with damage_as_clip_failure():
                        video = stack.enter_context(open_video(self._bytes(tar, members[0], path)))
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

    def _bytes(self, tar: str, root: RootToEncode, path: Path | str) -> bytes | Path:
        """Return what the decoder opens: the bytes of the stored root, or the file that it was cut from."""
        if self._originals is None:
            return read_span(self._store, tar, root.byte_offset, root.byte_size)
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
            if root.fps < self._needed_rate() * RATE_SLACK:
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
