"""The samples of an export: rows chosen shard by shard, each with its video and its still, read a few roots ahead.

One bad clip never ends an export: it is left out, and counted by reason (`ExportCounts`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shards.errors import ShardError
from shards.export.clip_cutting import OpenRoot
from shards.export.export_counts import ExportCounts
from shards.export.export_rows import ExportRow, Measures, export_row, missing_text_reason, tree_of
from shards.export.export_scores import ExportScores
from shards.export.export_selection import ExportSelection
from shards.export.public_rows import public_row
from shards.keys import shard_name
from shards.media.keyframes import StoredStill, nearest_still, read_still, stills_of
from shards.media.video_facts import read_videos, videos_by_root
from shards.reader import map_ahead, read_table
from shards.selections.clip_condition import ClipCondition
from shards.selections.marked_texts import read_texts
from shards.selections.selection import Selection
from shards.storage.store import Store
from shards.storage.tar import ByteSpan, read_span

Progress = Callable[[int, int], None]
"""Called with (shards done, shards in all)."""
_THREADS = 4
_MEDIA = ("key", "byte_offset", "byte_size", "speech_seconds", "motion")


@dataclass(frozen=True)
class ExportSample:
    """One sample in memory, or the reason why it could not be made."""

    row: ExportRow
    mp4: bytes = b""
    jpg: bytes | None = None
    error: str | None = None

    @property
    def size(self) -> int:
        """Bytes of video and still."""
        return len(self.mp4) + len(self.jpg or b"")


@dataclass(frozen=True)
class SelectedRoot:
    """The exported clips of one root."""

    root_key: str
    mp4: ByteSpan
    """The root's video in the shard's tar."""
    rows: Sequence[ExportRow]
    """One row a sample; `offset` and `num_frames` are still those of the root."""


@dataclass(frozen=True)
class ExportSource:
    """The inputs of an export."""

    store: Store
    shards: Sequence[int]
    clips: ExportSelection
    marks: Selection | None
    """Of `shards.selections.marked_texts.selection_of`."""
    condition: ClipCondition | None
    """Of `ExportSelection.condition`."""
    scores: ExportScores
    removed: frozenset[str]
    """Ids of videos that were removed on request: nothing of theirs is exported."""
    counts: ExportCounts
    """Grows while samples are made."""

    def roots(self, shard: int) -> list[SelectedRoot]:
        """Return the samples to make of a shard, root by root, in the order of its media.

        Raises:
            ShardError: a table is unreadable.
        """
        media = read_table(self.store, f"media/{shard_name(shard)}.parquet", _MEDIA).to_pylist()
        spans = {row["key"]: ByteSpan(row["byte_offset"], row["byte_size"]) for row in media}
        by_root: dict[str, list[ExportRow]] = defaultdict(list)
        for row in self._rows(shard, {row["key"]: row for row in media}):
            by_root[row["root_key"]].append(row)
        selected = []
        for root, rows in by_root.items():
            samples = rows if self.clips.unit == "clip" else _with_tree(root, rows)
            samples = [row for row in samples if self._has_text(row)]
            if root not in spans:
                self.counts.failed["no video of its root"] += len(samples)
            elif samples:
                selected.append(SelectedRoot(root, spans[root], samples))
        return selected

    def samples(self, progress: Progress | None) -> Iterator[ExportSample]:
        """Yield all samples in order; the next roots are read and cut while one sample is written."""
        for done, shard in enumerate(self.shards, start=1):
            stills = self.stills(shard)

            def make(
                root: SelectedRoot, shard: int = shard, stills: Mapping[str, Sequence[StoredStill]] = stills
            ) -> list[ExportSample]:
                return self._samples_of_root(shard, root, stills.get(root.root_key, ()))

            for samples in map_ahead(make, self.roots(shard), _THREADS):
                for sample in samples:
                    self.count(sample)
                    yield sample
            if progress is not None:
                progress(done, len(self.shards))

    def stills(self, shard: int) -> Mapping[str, Sequence[StoredStill]]:
        """Return the stills of a shard by root; none, and counted, if their tar is missing or damaged."""
        try:
            return stills_of(self.store, shard)
        except (ShardError, FileNotFoundError):
            self.counts.shards_without_stills += 1
            return {}

    def count(self, sample: ExportSample) -> None:
        """Count a sample that failed, or that has no text."""
        if sample.error is not None:
            self.counts.failed[sample.error] += 1
        elif not sample.row["text"]:
            self.counts.without_text[missing_text_reason(sample.row, self.clips.text_column)] += 1

    def _rows(self, shard: int, media: Mapping[str, Measures]) -> Iterator[ExportRow]:
        """Yield the rows of the clips that the marks, the condition and the tombstones let through."""
        table = read_texts(self.store, self.clips.layer, shard, self.marks)
        wanted = None if self.condition is None else self.condition.keys(shard, table)
        known = videos_by_root(read_videos(self.store, shard))
        scores = self.scores.of_shard(shard)
        for row in table.to_pylist():
            key = row["key"]
            if (wanted is not None and key not in wanted) or not (row["keep"] or not self.clips.keep_only):
                continue
            if row["video_id"] in self.removed:
                self.counts.removed += 1
            elif key not in media:
                self.counts.failed["not in the media"] += 1
            else:
                measures = Measures(speech_seconds=media[key]["speech_seconds"], motion=media[key]["motion"])
                if self.scores.field is not None:
                    measures["scores"] = self.scores.of_clip(scores, key)
                made = export_row(row, known[row["root_key"]], measures, self.clips.text_column)
                yield public_row(made) if self.clips.public else made

    def _has_text(self, row: ExportRow) -> bool:
        """Return True for a sample that is written; count one that is left out for want of a text."""
        if row["text"] or self.clips.null_text == "keep":
            return True
        self.counts.skipped[missing_text_reason(row, self.clips.text_column)] += 1
        return False

    def _samples_of_root(self, shard: int, root: SelectedRoot, stills: Sequence[StoredStill]) -> list[ExportSample]:
        try:
            mp4 = read_span(self.store, f"media/{shard_name(shard)}.tar", root.mp4.offset, root.mp4.size)
        except ShardError:
            return [ExportSample(row, error="the tar of its root was cut short") for row in root.rows]
        try:
            with OpenRoot(mp4) as opened:
                return [self._sample(shard, row, opened, mp4, stills) for row in root.rows]
        except ValueError as error:
            return [ExportSample(row, error=str(error)) for row in root.rows]

    def _sample(
        self, shard: int, row: ExportRow, root: OpenRoot, mp4: bytes, stills: Sequence[StoredStill]
    ) -> ExportSample:
        if self.clips.unit == "root":
            return ExportSample(row, mp4, self._jpg(shard, row, stills))
        try:
            own, clip = _cut(row, root)
        except ValueError as error:
            return ExportSample(row, error=str(error))
        except ArithmeticError:
            return ExportSample(row, error="its times or its frame rate are no usable numbers")
        return ExportSample(own, clip, self._jpg(shard, row, stills))

    def _jpg(self, shard: int, row: ExportRow, stills: Sequence[StoredStill]) -> bytes | None:
        """Return the still of a sample; None if its root has none, or if its bytes are gone."""
        still = still_of(row, stills)
        try:
            return None if still is None else read_still(self.store, shard, still)
        except ShardError:
            return None


def still_of(row: ExportRow, stills: Sequence[StoredStill]) -> StoredStill | None:
    """Return the still nearest to the middle of a sample; None if its root has none."""
    return nearest_still(stills, row["start"], row["end"])


def _with_tree(root: str, rows: Sequence[ExportRow]) -> list[ExportRow]:
    """Return the row of the root with all its exported clips as a tree; empty if the root itself is not exported."""
    return [{**row, "tree": tree_of(rows)} for row in rows if row["key"] == root]


def _cut(row: ExportRow, root: OpenRoot) -> tuple[ExportRow, bytes]:
    """Return the row of one clip with `offset` and `num_frames` of the clip's own video, and that video."""
    clip = root.cut(row["offset"], row["offset"] + row["end"] - row["start"], row["fps"])
    own: ExportRow = {
        **row,
        "offset": row["offset"] - clip.first_frame / row["fps"],
        "num_frames": clip.num_frames,
        "root_first_frame": clip.first_frame,
    }
    return own, clip.data
