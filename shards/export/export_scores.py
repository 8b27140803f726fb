"""The scores of clips in an export: one struct column, ``scores``, with a struct for each score set.

The names are those of `--where`: ``scores.quick.sharpness`` is the column ``sharpness`` of the set ``quick``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shards.scores.score_set import ScoreSet, score_sets
from shards.storage.store import Store

ClipScores = dict[str, dict[str, Any]]
"""Scores of one clip by set and column; null where there is none."""


@dataclass(frozen=True)
class ExportScores:
    """The score sets of a DIR that an export carries along."""

    sets: Mapping[str, ScoreSet]
    """By name; sets without columns (vectors only) are left out."""
    field: pa.Field | None
    """The column ``scores``; None if no set has columns."""

    @classmethod
    def open(cls, store: Store) -> ExportScores:
        """Open all score sets; one table of each is read.

        Raises:
            ShardError: a record or a table is unreadable.
        """
        opened = [ScoreSet.open(store, name) for name in score_sets(store)]
        sets = {one.name: one for one in opened if one.columns}
        if not sets:
            return cls({}, None)
        types = {name: one.table(one.shards[0], one.columns).schema for name, one in sets.items()}
        structs = [
            pa.field(name, pa.struct([pa.field(column, types[name].field(column).type) for column in one.columns]))
            for name, one in sets.items()
        ]
        return cls(sets, pa.field("scores", pa.struct(structs)))

    def of_shard(self, shard: int) -> Mapping[str, ClipScores]:
        """Return the scores of a shard's clips by key; a set without this shard has nulls.

        Raises:
            ShardError: a table is unreadable, or was made with other settings than its set.
        """
        found: dict[str, ClipScores] = {}
        for name, one in self.sets.items():
            if shard in one.shards:
                for row in one.table(shard, one.columns).to_pylist():
                    values = {column: _without_nan(row[column]) for column in one.columns}
                    found.setdefault(row["key"], {})[name] = values
        return found

    def of_clip(self, found: Mapping[str, ClipScores], key: str) -> ClipScores:
        """Return the scores of one clip, with null for each score that it lacks."""
        own = found.get(key, {})
        return {name: own.get(name) or dict.fromkeys(one.columns) for name, one in self.sets.items()}


def _without_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
