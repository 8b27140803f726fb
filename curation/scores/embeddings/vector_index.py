"""An index over the stored vectors of a score set: the nearest of more than a million without comparing each.

    scores/<set>/*.<column>.npy -> scores/<set>/index/<column>.usearch + <column>.json

The index is a graph of small worlds (HNSW, Malkov and Yashunin 2018; the library usearch) over the vectors in float16,
mapped into memory. Its record states what it was built from, and its recall against exact search on a sample. It is
used only while the set holds just that.

Shapes: N clips of a shard, D numbers of a vector, Q sampled vectors, K nearest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UserError
from shards.errors import ShardError
from shards.reader import artifacts
from shards.scores.match import unit_rows
from shards.scores.score_set import INDEX_FOLDER, ScoreSet, vector_shape
from shards.storage.store import Store

EXACT_LIMIT: Final = 1_000_000
"""Vectors up to which each is compared."""
_LOOKED_AT: Final = 1024
"""Vectors that a search keeps in view (``ef`` of HNSW): more of them find more of the nearest, and take longer."""
_SAMPLED: Final = 100
_NEAREST: Final = 48
_SEED: Final = 0
_ROW_BITS: Final = 32

Progress = Callable[[int, int], None]
"""Called with (shards done, shards in all)."""


@dataclass(frozen=True)
class IndexRecord:
    """The origin and the quality of an index."""

    digests: Mapping[str, str]
    """Digest of the scores of each shard that it holds, by the shard's number."""
    bytes: int
    """Size of its file."""
    vectors: int
    recall: float
    """Mean share of the nearest clips that a search finds, over the sample; 1 if there is no sample."""
    least_recall: float
    """The smallest share of the sample."""
    sampled: int
    """Stored vectors that were searched for, drawn at random."""
    nearest: int
    """Nearest clips that were asked for."""
    library: str


@dataclass(frozen=True)
class VectorIndex:
    """An index that is open for searches; safe to use from several threads."""

    record: IndexRecord
    _graph: Any
    """A `usearch.index.Index`, mapped into memory."""

    def nearest(self, vector_D: NDArray[np.float32], count: int) -> list[tuple[float, int, int]]:
        """Return cosine, shard and row of the clips nearest to a vector of length 1, the nearest first."""
        found = self._graph.search(vector_D, count, threads=1)
        pairs = zip(np.asarray(found.keys).tolist(), np.asarray(found.distances).tolist(), strict=True)
        return [(1.0 - distance, key >> _ROW_BITS, key & ((1 << _ROW_BITS) - 1)) for key, distance in pairs]


def vector_count(scored: ScoreSet, column: str) -> int:
    """Return the number of rows of vectors of a column, from the headers of their files.

    Raises:
        ShardError: a file is damaged.
    """
    if not scored.store.is_local:
        return sum(scored.table(shard, []).num_rows for shard in scored.shards)
    return _count(scored.store.root, scored.folder, column, _tokens(scored))


def open_index(scored: ScoreSet, column: str) -> VectorIndex | None:
    """Return the index of a column; None if there is none, or if the set has changed since it was built.

    Raises:
        ShardError: the record can't be read.
    """
    record = _record(scored, column)
    if record is None or dict(record.digests) != _digests(scored):
        return None
    path = _path(scored, column)
    return VectorIndex(record, _mapped(path, path.stat().st_mtime_ns)) if _is_whole(path, record) else None


def build_index(scored: ScoreSet, column: str, progress: Progress) -> IndexRecord:
    """Build the index of a column, or add the new shards to the one that there is; return its record.

    Raises:
        UserError: the DIR is in an object store, from which an index can't be mapped into memory.
        ShardError: a file of vectors is damaged.
    """
    if not scored.store.is_local:
        raise UserError(f"--index: {scored.store.root} is in an object store; an index needs a folder on disk")
    digests = _digests(scored)
    graph, known = _begun(scored, column, digests)
    new = [shard for shard in scored.shards if str(shard) not in known]
    threads = len(os.sched_getaffinity(0))
    for done, shard in enumerate(new, 1):
        rows_N, vectors_ND = _usable(scored, column, shard)
        if len(rows_N):
            graph.add((np.uint64(shard) << np.uint64(_ROW_BITS)) | rows_N, vectors_ND, threads=threads)
        progress(done, len(new))
    shares = _recalls(scored, column, graph)
    record = IndexRecord(
        digests,
        _commit(scored, column, graph),
        len(graph),
        float(np.mean(shares)) if shares else 1.0,
        min(shares, default=1.0),
        len(shares),
        _NEAREST,
        f"usearch {version('usearch')}",
    )
    scored.store.commit_bytes(json.dumps(asdict(record)).encode(), _file(scored, column, "json"))
    return record


def _commit(scored: ScoreSet, column: str, graph: Any) -> int:
    """Write the file of an index, and return its bytes."""
    with TemporaryDirectory(prefix="curate-index-") as scratch:
        saved = Path(scratch) / "index"
        graph.save(str(saved))
        size = saved.stat().st_size
        scored.store.commit(saved, _file(scored, column, "usearch"))
    return size


def _begun(scored: ScoreSet, column: str, digests: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
    """Return a graph to add to and the shards that it holds: the stored one if all that it holds is still there."""
    from usearch.index import Index

    record, path = _record(scored, column), _path(scored, column)
    if record is not None and _is_whole(path, record) and record.digests.items() <= digests.items():
        return _restored(path, view=False), record.digests
    width = scored.vectors[column].width
    return Index(
        ndim=width, metric="cos", dtype="f16", connectivity=16, expansion_add=64, expansion_search=_LOOKED_AT
    ), {}


def _usable(scored: ScoreSet, column: str, shard: int) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Return the rows of a shard that have a vector [N], and these vectors at length 1 [N, D]."""
    unit_ND = unit_rows(np.asarray(scored.vector(shard, column)))
    rows_N = np.flatnonzero(np.isfinite(unit_ND).all(axis=1)) if len(unit_ND) else np.empty(0, np.int64)
    return rows_N.astype(np.uint64), unit_ND[rows_N]


def _recalls(scored: ScoreSet, column: str, graph: Any) -> list[float]:
    """Return the share of the nearest clips that a search finds, for each vector of a sample."""
    drawn_QD = _drawn(scored, column)
    if not len(drawn_QD):
        return []
    nearest = _exact(scored, column, drawn_QD)
    index = VectorIndex(IndexRecord({}, 0, len(graph), 0.0, 0.0, 0, _NEAREST, ""), graph)
    shares = []
    for vector_D, exact in zip(drawn_QD, nearest, strict=True):
        found = {(shard, row) for _, shard, row in index.nearest(vector_D, _NEAREST)}
        shares.append(len(exact & found) / max(len(exact), 1))
    return shares


def _drawn(scored: ScoreSet, column: str) -> NDArray[np.float32]:
    """Return stored vectors drawn at random, at length 1 [Q, D]."""
    rng = np.random.default_rng(_SEED)
    drawn: list[NDArray[np.float32]] = []
    for shard in rng.choice(scored.shards, min(len(scored.shards), _SAMPLED), replace=False):
        _, vectors_ND = _usable(scored, column, int(shard))
        each = -(-_SAMPLED // min(len(scored.shards), _SAMPLED))
        drawn += list(vectors_ND[rng.permutation(len(vectors_ND))[:each]])
    return np.array(drawn[:_SAMPLED], np.float32).reshape(-1, scored.vectors[column].width)


def _exact(scored: ScoreSet, column: str, drawn_QD: NDArray[np.float32]) -> list[set[tuple[int, int]]]:
    """Return shard and row of the exact K nearest clips of each vector."""
    best: list[list[tuple[float, int, int]]] = [[] for _ in drawn_QD]
    for shard in scored.shards:
        rows_N, vectors_ND = _usable(scored, column, shard)
        cosines_QN = drawn_QD @ vectors_ND.T
        for query, cosines_N in enumerate(cosines_QN):
            top = np.argsort(-cosines_N, kind="stable")[:_NEAREST]
            found = [(float(cosines_N[at]), shard, int(rows_N[at])) for at in top]
            best[query] = sorted(best[query] + found, reverse=True)[:_NEAREST]
    return [{(shard, row) for _, shard, row in nearest} for nearest in best]


def _record(scored: ScoreSet, column: str) -> IndexRecord | None:
    name = _file(scored, column, "json")
    if not scored.store.is_local or not scored.store.exists(name):
        return None
    try:
        return IndexRecord(**json.loads(scored.store.read_bytes(name)))
    except (ValueError, TypeError):
        raise ShardError(f"{name}: is no record of an index; delete {scored.folder}/{INDEX_FOLDER}") from None


def _path(scored: ScoreSet, column: str) -> Path:
    return Path(scored.store.path(_file(scored, column, "usearch")))


def _is_whole(path: Path, record: IndexRecord) -> bool:
    return path.exists() and path.stat().st_size == record.bytes


def _file(scored: ScoreSet, column: str, kind: str) -> str:
    return f"{scored.folder}/{INDEX_FOLDER}/{column}.{kind}"


def _tokens(scored: ScoreSet) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, entry.token) for name, entry in scored.store.list(scored.folder).items()))


def _digests(scored: ScoreSet) -> dict[str, str]:
    """Return the digest of the scores of each shard, by its number; read again only when a file has changed."""
    return dict(_read_digests(scored.store.root, scored.folder, scored.shards, _tokens(scored)))


@lru_cache(maxsize=4)
def _read_digests(
    root: str, folder: str, shards: tuple[int, ...], tokens: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    return tuple((str(shard), found.digest) for shard, found in artifacts(Store(root), folder, shards).items())


@lru_cache(maxsize=16)
def _count(root: str, folder: str, column: str, tokens: tuple[tuple[str, str], ...]) -> int:
    names = [name for name, _ in tokens if name.endswith(f".{column}.npy")]
    return sum(vector_shape(Store(root), f"{folder}/{name}")[0] for name in names)


@lru_cache(maxsize=4)
def _mapped(path: Path, token: int) -> Any:
    return _restored(path, view=True)


def _restored(path: Path, *, view: bool) -> Any:
    """Return a stored graph.

    Raises:
        ShardError: the file is damaged.
    """
    from usearch.index import Index

    try:
        graph = Index.restore(str(path), view=view)
    except (RuntimeError, ValueError) as error:
        raise ShardError(f"{path}: is no index ({error}); delete its folder, and build it again") from None
    if graph is None:
        raise ShardError(f"{path}: is no index; delete its folder, and build it again")
    graph.expansion_search = _LOOKED_AT
    return graph
