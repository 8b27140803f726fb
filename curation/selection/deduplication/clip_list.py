"""All clips of a DIR, numbered shard after shard in the order of the media's rows, with what deduplication needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.selection.deduplication.keep_order import OrderTerm, ranks
from curation.selection.deduplication.semantic.cluster_tree import Integers
from runtime.errors import UserError
from shards.artifact import Artifact
from shards.keys import shard_name
from shards.reader import committed_media, map_ahead, read_table, shards_in
from shards.schema import LEVELS
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store

_COLUMNS: Final = (
    "key", "root_key", "parent_key", "video_id", "level", "shard", "start", "end", "width", "height", "byte_offset",
    "byte_size",
)  # fmt: skip


@dataclass(frozen=True)
class ClipList:
    """The clips of all shards."""

    shards: tuple[int, ...]
    media: dict[int, Artifact]
    """The record of each shard's media."""
    first: Integers
    """Number of the first clip of each shard, and at the end the number of clips."""
    table: pa.Table

    @classmethod
    def read(cls, store: Store) -> ClipList:
        """Read the clips of all committed shards.

        Raises:
            UserError: there is no media.
        """
        media = committed_media(store)
        if not media:
            raise UserError(f"{store.root}: holds no media yet; run `curate run` on it first")
        shards = tuple(sorted(media))
        dated = set(shards_in(store.list("videos")))
        tables = list(map_ahead(lambda shard: _clips(store, shard, shard in dated), shards))
        first = np.cumsum([0, *(table.num_rows for table in tables)])
        return cls(shards, media, first, pa.concat_tables(tables))

    def __len__(self) -> int:
        return int(self.first[-1])

    @cached_property
    def level(self) -> Integers:
        """Number of each clip's level in `shards.schema.LEVELS`."""
        levels = self.table["level"].cast(pa.string()).combine_chunks()
        return np.asarray(pc.index_in(levels, value_set=pa.array(LEVELS)).to_numpy(), np.int64)

    @cached_property
    def roots(self) -> Integers:
        """Numbers of the clips that are roots."""
        return np.flatnonzero(self.table["parent_key"].is_null().to_numpy())

    @cached_property
    def root_of(self) -> Integers:
        """For each clip the number of its root."""
        keys = self.table["root_key"].combine_chunks()
        where = pc.index_in(keys, value_set=self.table["key"].take(pa.array(self.roots)).combine_chunks())
        return self.roots[np.asarray(where.to_numpy(), np.int64)]

    def numbers(self, shards: Sequence[int], rows: Integers) -> Integers:
        """Return the numbers of clips by their shards and rows."""
        place = np.searchsorted(np.asarray(self.shards), np.asarray(shards))
        return self.first[place] + rows

    def shard_and_row(self, numbers: Integers) -> tuple[Integers, Integers]:
        """Return shard and row of clips by their numbers."""
        place = np.searchsorted(self.first, numbers, "right") - 1
        return np.asarray(self.shards)[place], numbers - self.first[place]

    def show_other_times(self, one: Integers, other: Integers) -> NDArray[np.bool_]:
        """Return for each pair of clips True if they are of one video, and their times do not overlap."""
        video, start, end = self._video, self.table["start"].to_numpy(), self.table["end"].to_numpy()
        overlap = (start[one] < end[other]) & (start[other] < end[one])
        return np.asarray((video[one] == video[other]) & ~overlap)

    @cached_property
    def _video(self) -> Integers:
        """A number for each clip that the clips of its video share."""
        return np.asarray(pc.dictionary_encode(self.table["video_id"].combine_chunks()).indices.to_numpy(), np.int64)

    def rank(self, store: Store, terms: Sequence[OrderTerm]) -> Integers:
        """Return the rank of each clip in an order, 0 for the best.

        Raises:
            ShardError: a score set or a column of the order is not there.
        """
        scores = {term: self._scores(store, term) for term in terms if term.name == "score"}
        return ranks(self.table, terms, scores)

    def _scores(self, store: Store, term: OrderTerm) -> np.ndarray:
        """Return a score of each clip; NaN in shards that have none yet."""
        scores = ScoreSet.open(store, term.score_set)
        made = set(scores.shards)
        values = np.full(len(self), np.nan)
        for number, shard in enumerate(self.shards):
            if shard in made:
                column = scores.table(shard, [term.column])[term.column]
                values[self.first[number] : self.first[number + 1]] = column.cast(pa.float64()).to_numpy()
        return values


def _clips(store: Store, shard: int, is_dated: bool) -> pa.Table:
    name = f"{shard_name(shard)}.parquet"
    clips = read_table(store, f"media/{name}", _COLUMNS)
    if not is_dated:
        return clips.append_column("upload_date", pa.nulls(clips.num_rows, pa.string()))
    videos = read_table(store, f"videos/{name}", ["root_key", "video_upload_date"])
    where = pc.index_in(clips["root_key"], value_set=videos["root_key"].combine_chunks())
    return clips.append_column("upload_date", videos["video_upload_date"].take(where.combine_chunks()))
