"""Clips by their stored vectors: nearest to a text, or to another clip.

Each vector is compared, shard by shard, so that the memory of a search does not grow with the DIR. Among more than a
million vectors the index finds the nearest, if it was built (`curate view DIR --index`).

Shapes: N clips of a shard, D numbers of a vector.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from curation.scores.embeddings import vector_index
from curation.scores.embeddings.shard_match import CLIP
from curation.scores.embeddings.vector_index import VectorIndex
from runtime.errors import UserError, nearest
from shards.scores.match import unit_rows
from shards.scores.score_set import ScoreSet, VectorFact, score_sets
from shards.storage.store import Store

if TYPE_CHECKING:
    from curation.engines.models.image_text_model import ImageTextModel

MOST: Final = 48
"""Clips that a search returns."""
_LOADING: Final = threading.Lock()


@dataclass(frozen=True)
class StoredVectors:
    """The vectors of one column of a score set."""

    scored: ScoreSet
    column: str

    @property
    def name(self) -> str:
        """Its name in addresses: ``set.column``."""
        return f"{self.scored.name}.{self.column}"

    @property
    def fact(self) -> VectorFact:
        """Width and model."""
        return self.scored.vectors[self.column]

    @property
    def takes_text(self) -> bool:
        """True for vectors of pictures by a model that is named: words can be put into the same space."""
        return self.column == CLIP and self.fact.model is not None


def stored_vectors(store: Store) -> dict[str, StoredVectors]:
    """Return the vectors of a DIR by name.

    Raises:
        ShardError: a record of a score set is unreadable.
    """
    sets = [ScoreSet.open(store, name) for name in score_sets(store)]
    found = [StoredVectors(scored, column) for scored in sets for column in scored.vectors]
    return {each.name: each for each in found}


def chosen_vectors(there: Mapping[str, StoredVectors], name: str, *, for_text: bool) -> StoredVectors:
    """Return the named vectors, or without a name the first that serve.

    Raises:
        UserError: there are none, or none of that name.
    """
    usable = {each.name: each for each in there.values() if each.takes_text or not for_text}
    if not usable:
        kind = "vectors of clips by a model with a text tower" if for_text else "vectors"
        raise UserError(f"no score set has {kind}; make one with the score `embedding`: curate run … --stages score")
    if name and name not in usable:
        raise UserError(f"vectors = {name!r}: there are no such vectors{nearest(name, sorted(usable))}")
    return usable[name] if name else next(iter(usable.values()))


def vector_of_text(vectors: StoredVectors, text: str) -> NDArray[np.float32]:
    """Return the vector of a text [D], of length 1; the model is loaded at the first call.

    Raises:
        UserError: the model is not there, or has no text tower of open_clip.
    """
    assert vectors.fact.model is not None
    with _LOADING:
        rows_1D = _model(vectors.fact.model).texts([text])
    vector_D: NDArray[np.float32] = unit_rows(rows_1D)[0]
    if len(vector_D) != vectors.fact.width:
        raise UserError(
            f"{vectors.name}: its vectors have {vectors.fact.width} numbers, those of {vectors.fact.model} "
            f"{len(vector_D)}; make the score set again"
        )
    return vector_D


def vector_of_clip(vectors: StoredVectors, shard: int, key: str) -> NDArray[np.float32] | None:
    """Return the vector of a clip [D], of length 1; None if it has none."""
    if shard not in vectors.scored.shards:
        return None
    keys = vectors.scored.table(shard, [])["key"].to_pylist()
    if key not in keys:
        return None
    row = keys.index(key)
    vector_D: NDArray[np.float32] = unit_rows(vectors.scored.vector(shard, vectors.column)[row : row + 1])[0]
    return vector_D if np.isfinite(vector_D).all() else None


@dataclass(frozen=True)
class SearchWay:
    """How the clips nearest to a vector are found."""

    vectors: int
    """Vectors to search among."""
    index: VectorIndex | None
    """None: each vector is compared."""

    @property
    def needs_index(self) -> bool:
        """True if each vector is compared although there are many."""
        return self.index is None and self.vectors > vector_index.EXACT_LIMIT


def search_way(vectors: StoredVectors) -> SearchWay:
    """Return how a search among some vectors goes: by their index if they are many and it is up to date.

    Raises:
        ShardError: a file of vectors, or the index, is damaged.
    """
    count = vector_index.vector_count(vectors.scored, vectors.column)
    many = count > vector_index.EXACT_LIMIT
    return SearchWay(count, vector_index.open_index(vectors.scored, vectors.column) if many else None)


def nearest_clips(
    vectors: StoredVectors, way: SearchWay, vector_D: NDArray[np.float32], count: int = MOST
) -> dict[str, float]:
    """Return the cosine of the clips nearest to a vector, by key, the nearest first.

    Args:
        vectors: to search among.
        way: of `search_way`.
        vector_D: of length 1.
        count: clips that are wanted.

    Raises:
        ShardError: a file of vectors is damaged.
    """
    best = way.index.nearest(vector_D, count) if way.index else _compared_with_each(vectors, vector_D, count)
    keys: dict[int, list[Any]] = {
        shard: vectors.scored.table(shard, [])["key"].to_pylist() for shard in {shard for _, shard, _ in best}
    }
    return {keys[shard][row]: cosine for cosine, shard, row in best}


def _compared_with_each(
    vectors: StoredVectors, vector_D: NDArray[np.float32], count: int
) -> list[tuple[float, int, int]]:
    """Return cosine, shard and row of the nearest clips."""
    best: list[tuple[float, int, int]] = []
    for shard in vectors.scored.shards:
        rows_ND = unit_rows(vectors.scored.vector(shard, vectors.column))
        cosines_N = np.nan_to_num(rows_ND @ vector_D, nan=-np.inf)
        if len(cosines_N):
            top = np.argpartition(-cosines_N, min(count, len(cosines_N)) - 1)[:count]
            best = heapq.nlargest(count, best + [(float(cosines_N[row]), shard, int(row)) for row in top])
    return [found for found in best if np.isfinite(found[0])]


@lru_cache(maxsize=1)
def _model(uri: str) -> ImageTextModel:
    from curation.engines.models.image_text_model import ImageTextModel

    return ImageTextModel(uri)
