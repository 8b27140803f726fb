"""Reads the visual features of a shard, ``features/<name>/<shard>.npy`` and the table beside it.

Shapes: N rows of a root, D features.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UserError, nearest
from shards.errors import ShardError, one_line
from shards.keys import shard_name
from shards.manifest import read_stage
from shards.reader import feature_sets, media_shards, read_artifact, read_table, shards_in
from shards.storage.store import Store
from shards.stored_rows import StoredFeatures

_ROUNDING: Final = 1e-4
"""Seconds; times are float32."""
_SETTING: Final = "score.embedding.features"


def check_features(store: Store, name: str, model: str | None) -> int:
    """Return the width of a feature set that is complete, and fits a model of texts.

    Args:
        store: the DIR.
        name: name of the set.
        model: URI of the model whose texts are compared with it; None: no texts are.

    Raises:
        UserError: there is no such set, it lacks shards, or it was made by another model.
    """
    sets = feature_sets(store)
    mark = read_stage(store, f"features/{name}") if name in sets else None
    made: Mapping[str, Any] = {} if mark is None else mark.settings
    if not {"encoder", "width"} <= set(made):
        known = nearest(name, sets) if sets else ": make one with `train-vidlankd features`"
        raise UserError(f"{_SETTING}={name!r}: {store.root} has no such set{known}")
    lacking = sorted(set(media_shards(store)) - set(shards_in(store.list(f"features/{name}"))))
    if lacking:
        raise UserError(
            f"{_SETTING}={name!r}: lacks {len(lacking)} shards that have media ({shard_name(lacking[0])}, …); run "
            f"`train-vidlankd features --shards {store.root}` first"
        )
    encoder = str(made["encoder"])
    if model is not None and encoder.partition("@")[0] != f"clip:{_unpinned(model)}":
        raise UserError(
            f"{_SETTING}={name!r}: made by the encoder {encoder}, texts by {_unpinned(model)}: not one space; set "
            f"score.embedding.text=[], or take features of the encoder clip:{_unpinned(model)}"
        )
    return int(made["width"])


def read_features(store: Store, name: str, shard: int) -> ShardFeatures:
    """Read the features of a shard.

    Raises:
        ShardError: they are damaged, or were made from older media.
    """
    stem, media = f"features/{name}/{shard_name(shard)}", f"media/{shard_name(shard)}.parquet"
    try:
        made_from = read_artifact(store, f"{stem}.parquet").inputs.get(media)
        if made_from not in (None, read_artifact(store, media).digest):
            raise ShardError(f"{stem}.parquet: was made from an older {media}; run `train-vidlankd features` again")
        rows: list[StoredFeatures] = read_table(store, f"{stem}.parquet").to_pylist()
        if store.is_local:
            array = np.load(store.path(f"{stem}.npy"), mmap_mode="r", allow_pickle=False)
        else:
            array = np.load(io.BytesIO(store.read_bytes(f"{stem}.npy")), allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError) as error:
        if isinstance(error, ShardError):
            raise
        raise ShardError(f"{stem}: no readable features ({one_line(error)}); extract them again") from None
    if array.ndim != 2 or len(array) != sum(row["rows"] for row in rows):
        raise ShardError(f"{stem}.npy: has the shape {array.shape}, its table names other rows; extract it again")
    return ShardFeatures({row["root_key"]: row for row in rows}, array)


@dataclass(frozen=True)
class ShardFeatures:
    """The features of one shard."""

    roots: Mapping[str, StoredFeatures]
    array: NDArray[Any]
    """All rows, [rows, D]."""

    def rows(self, root_key: str, start: float, end: float) -> NDArray[np.float32]:
        """Return the rows of a root [N, D] with times in [start, end), or the row nearest to its middle.

        Args:
            root_key: key of the root; one without features has no rows.
            start: seconds from the root's first frame.
            end: seconds from the root's first frame.
        """
        root = self.roots.get(root_key)
        if root is None or not root["rows"]:
            return np.zeros((0, self.array.shape[1]), np.float32)
        times_N = np.asarray(root["times"], np.float64)
        first, after = np.searchsorted(times_N, [start - _ROUNDING, end - _ROUNDING])
        if first >= after:
            first = int(np.abs(times_N - (start + end) / 2).argmin())
            after = first + 1
        chosen: NDArray[np.float32] = self.array[root["first"] + first : root["first"] + after].astype(np.float32)
        return chosen


def _unpinned(model: str) -> str:
    """Return a model's URI without the revision that a run pins it to."""
    return model.partition("#revision=")[0] if model.startswith("path:") else model.partition("@")[0]
