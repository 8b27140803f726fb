"""A tree of clusters over unit vectors: hierarchical spherical k-means, trained on a sample.

Every node has at most `BRANCHES` centroids, so that finding the leaf of a vector takes time that grows with the
logarithm of the number of leaves, and leaves keep a bounded number of vectors: comparing the vectors of each leaf with
each other takes time linear in the number of vectors. SemDeDup (Abbas et al. 2023) compares within the clusters of one
flat k-means, whose cost grows with the product of vectors and clusters.

Shapes: N vectors, D dimensions, K centroids of a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

BRANCHES: Final = 32
LEAF_VECTORS: Final = 1024
"""Vectors that a leaf is meant to hold."""
VISITS: Final = 3
"""Leaves in which each vector is compared."""
SAMPLE_PER_LEAF: Final = 32
"""Vectors of the training sample for each leaf."""
LEAST_SAMPLE: Final = 16_384
_ROUNDS: Final = 8
_BLOCK: Final = 16_384


def sample_size(vectors: int) -> int:
    """Return how many vectors to train on, out of a number of vectors."""
    return min(vectors, max(LEAST_SAMPLE, vectors * SAMPLE_PER_LEAF // LEAF_VECTORS))


@dataclass(frozen=True)
class ClusterTree:
    """The centroids of all nodes, node after node; node 0 is the root."""

    centroids: Floats
    """Unit vectors [sum of K, D]."""
    first: Integers
    """For each node the index of its first centroid, and at the end the number of centroids."""
    child: Integers
    """For each centroid its node, or `-1 - leaf` if it is a leaf."""

    @property
    def leaves(self) -> int:
        """Number of leaves."""
        return int((self.child < 0).sum())

    @classmethod
    def train(cls, sample_ND: Floats, vectors: int, seed: int = 0) -> ClusterTree:
        """Grow a tree from a sample.

        Args:
            sample_ND: unit vectors, at least one.
            vectors: number of vectors that the sample was drawn from.
            seed: of the first centroids.
        """
        return _Growth(np.random.default_rng(seed), vectors / len(sample_ND)).grow(sample_ND)

    def assign(self, vectors_ND: Floats, visits: int = VISITS) -> Integers:
        """Return the nearest leaves of each vector [N, visits], the nearest first; -1 where there are fewer.

        A near-duplicate on the other side of a border is still compared, because each vector visits several leaves.
        """
        beam = visits + 1  # one more on the way down finds better leaves
        parts = [self._assign(vectors_ND[at : at + _BLOCK], beam) for at in range(0, len(vectors_ND), _BLOCK)]
        return np.concatenate(parts)[:, :visits] if parts else np.empty((0, visits), np.int64)

    def _assign(self, vectors_ND: Floats, beam: int) -> Integers:
        count = len(vectors_ND)
        places = np.full((count, beam), _NOWHERE, np.int64)
        places[:, 0] = 0
        nearness = np.full((count, beam), -np.inf, np.float32)
        while (places >= 0).any():
            found = [(places[:, rank], nearness[:, rank]) for rank in range(beam)]
            for rank in range(beam):
                found += self._children(vectors_ND, places[:, rank], beam)
            places, nearness = _best(found, beam)
        return np.where(places == _NOWHERE, -1, -1 - places)

    def _children(self, vectors_ND: Floats, nodes: Integers, beam: int) -> list[tuple[Integers, Floats]]:
        """Return the nearest children of each vector's node as `beam` columns of places and nearness."""
        places = np.full((beam, len(nodes)), _NOWHERE, np.int64)
        nearness = np.full((beam, len(nodes)), -np.inf, np.float32)
        for node in np.unique(nodes[nodes >= 0]).tolist():
            rows = np.flatnonzero(nodes == node)
            low, high = int(self.first[node]), int(self.first[node + 1])
            similarity_NK = vectors_ND[rows] @ self.centroids[low:high].T
            for rank in range(min(beam, high - low)):
                best = similarity_NK.argmax(axis=1)
                places[rank, rows] = self.child[low + best]
                nearness[rank, rows] = similarity_NK[np.arange(len(rows)), best]
                similarity_NK[np.arange(len(rows)), best] = -np.inf
        return list(zip(places, nearness, strict=True))


_NOWHERE: Final = np.iinfo(np.int64).min


def _best(found: Sequence[tuple[Integers, Floats]], beam: int) -> tuple[Integers, Floats]:
    """Return the `beam` nearest places among leaves and children; nodes that were entered are replaced by children."""
    places = np.stack([place for place, _ in found], axis=1)
    nearness = np.stack([near for _, near in found], axis=1)
    nearness[:, :beam][places[:, :beam] >= 0] = -np.inf
    places[:, :beam][places[:, :beam] >= 0] = _NOWHERE
    order = np.argsort(-nearness, axis=1, kind="stable")[:, :beam]
    return np.take_along_axis(places, order, 1), np.take_along_axis(nearness, order, 1)


class _Growth:
    """The nodes of a tree while it grows, breadth first."""

    def __init__(self, rng: np.random.Generator, weight: float) -> None:
        self._rng = rng
        self._weight = weight
        """Vectors that one vector of the sample stands for."""

    def grow(self, sample_ND: Floats) -> ClusterTree:
        centroids, first, children = [], [0], []
        waiting, leaves, nodes = [sample_ND], 0, 1
        while waiting:
            rows_ND = waiting.pop(0)
            centroids_KD, cluster_N = spherical_kmeans(rows_ND, self._clusters(len(rows_ND)), self._rng)
            for number in range(len(centroids_KD)):
                own_ND = rows_ND[cluster_N == number]
                if self._clusters(len(own_ND)) > 1 and len(own_ND) < len(rows_ND):
                    children.append(nodes)
                    nodes += 1
                    waiting.append(own_ND)
                else:
                    children.append(-1 - leaves)
                    leaves += 1
            centroids.append(centroids_KD)
            first.append(first[-1] + len(centroids_KD))
        return ClusterTree(np.concatenate(centroids), np.array(first), np.array(children))

    def _clusters(self, rows: int) -> int:
        return min(BRANCHES, max(1, round(rows * self._weight / LEAF_VECTORS)), max(rows, 1))


def spherical_kmeans(rows_ND: Floats, clusters: int, rng: np.random.Generator) -> tuple[Floats, Integers]:
    """Return unit centroids [K, D], without empty clusters, and the cluster of each row."""
    centroids_KD = rows_ND[rng.choice(len(rows_ND), clusters, replace=False)]
    for _ in range(_ROUNDS):
        cluster_N = (rows_ND @ centroids_KD.T).argmax(axis=1)
        centroids_KD = _means(rows_ND, cluster_N)
    return centroids_KD, (rows_ND @ centroids_KD.T).argmax(axis=1)


def _means(rows_ND: Floats, cluster_N: Integers) -> Floats:
    """Return the unit mean of each cluster that has rows."""
    order = np.argsort(cluster_N, kind="stable")
    _, starts = np.unique(cluster_N[order], return_index=True)
    sums_KD = np.add.reduceat(rows_ND[order], starts, axis=0)
    lengths_K1 = np.linalg.norm(sums_KD, axis=1, keepdims=True)
    return sums_KD / np.maximum(lengths_K1, np.float32(1e-12))
