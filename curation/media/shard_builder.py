"""Collect the clips of a shard's videos in scratch, and commit the shard's tars and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from curation.media.media_rows import LedgerRow, MediaClipRow, video_row
from curation.media.video_to_clips import RootClip, VideoClips
from runtime.text.sound_text import sound_value
from shards.schema import CLIPS, LEDGER, VIDEOS
from shards.storage.store import Store
from shards.storage.tar import TarWriter
from shards.writer import Artifact, ShardMedia, commit_shard_media


class PackedClip(NamedTuple):
    """A clip whose root is in the media tar."""

    row: MediaClipRow
    byte_offset: int
    """Position of the root's mp4 in the tar."""
    byte_size: int


@dataclass
class ShardBuilder:
    """A shard that is being built: open tars of roots and keyframes, and the rows of its tables."""

    number: int
    media: TarWriter
    keyframes: TarWriter
    clips: list[PackedClip] = field(default_factory=list)
    ledger: list[LedgerRow] = field(default_factory=list)
    videos: pa.Table = field(default_factory=VIDEOS.empty_table)
    """One row a root (`shards.schema.VIDEOS`)."""
    seconds: float = 0.0
    """Seconds of video that was read."""

    def add(self, video: VideoClips) -> int:
        """Pack the roots of one video, all or none of them, and return the number of its clips.

        A video that fails half-way leaves neither bytes without a row nor a row that its table can't hold.
        """
        with self.media.all_or_nothing(), self.keyframes.all_or_nothing():
            packed = [clip for root in video.roots for clip in self._pack(root)]
            self._table(packed)
            known = pa.Table.from_pylist([sound_value(video_row(root.facts)) for root in video.roots], schema=VIDEOS)
        self.clips += packed
        self.videos = pa.concat_tables([self.videos, known])
        self.seconds += video.seconds
        return len(packed)

    def _pack(self, root: RootClip) -> list[PackedClip]:
        facts = sound_value(asdict(root.facts))
        mp4 = self.media.add(f"{root.facts.key}.mp4", root.mp4)
        self.media.add(f"{root.facts.key}.json", json.dumps(facts, ensure_ascii=False).encode())
        for still in root.keyframes:
            self.keyframes.add(f"{root.facts.key}.{round(still.time * 1000)}.jpg", still.path)
        return [PackedClip(row, mp4.offset, mp4.size) for row in root.rows]

    @staticmethod
    def _table(clips: Sequence[PackedClip]) -> pa.Table:
        rows = [clip.row.table_row(clip.byte_offset, clip.byte_size) for clip in clips]
        return pa.Table.from_pylist(rows, schema=CLIPS)

    def commit(self, store: Store, folder: Path, content_hash: str, inputs: Mapping[str, str]) -> None:
        """Commit the shard after its tars are closed; the table of clips comes last and is the commit mark.

        Args:
            store: the DIR.
            folder: scratch folder of the shard.
            content_hash: content hash of the media folder.
            inputs: digests of the files beside the videos, by name.
        """
        clips = self._table(self.clips)
        ledger = pa.Table.from_pylist([row.table_row() for row in self.ledger], schema=LEDGER)
        artifact = Artifact("media", content_hash, inputs=inputs, counts=self.counts())
        made = ShardMedia(self.number, self.media, self.keyframes, ledger, clips, self.videos)
        commit_shard_media(store, folder, made, artifact)

    def counts(self) -> dict[str, float]:
        """Return the numbers of videos, clips and seconds, and of sources by state and by class."""
        counts: dict[str, float] = {"videos": len(self.ledger), "clips": len(self.clips), "seconds": self.seconds}
        for row in self.ledger:
            counts[row.outcome.state] = counts.get(row.outcome.state, 0) + 1
            for name, value in row.class_count().items():
                counts[name] = counts.get(name, 0) + value
        return counts
