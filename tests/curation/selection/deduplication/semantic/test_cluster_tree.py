"""The tree of clusters: leaves of bounded size, and near vectors in common leaves."""

from __future__ import annotations

import numpy as np

from curation.selection.deduplication.semantic.cluster_tree import (
    BRANCHES,
    LEAF_VECTORS,
    ClusterTree,
    Floats,
    sample_size,
)


def unit(vectors: np.ndarray) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def crowd(count: int, width: int = 32, seed: int = 0) -> Floats:
    """Vectors around 100 centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(100, width))
    return unit(centres[rng.integers(0, 100, count)] + 0.5 * rng.normal(size=(count, width)))


def test_leaves_hold_about_the_number_of_vectors_that_they_are_meant_for() -> None:
    vectors = crowd(60_000)
    tree = ClusterTree.train(vectors[:: 60_000 // sample_size(60_000)], len(vectors))
    sizes = np.bincount(tree.assign(vectors)[:, 0], minlength=tree.leaves)
    assert tree.leaves > BRANCHES  # more than one level
    assert sizes.max() < 5 * LEAF_VECTORS


def test_nearly_all_near_duplicates_share_a_leaf() -> None:
    vectors = crowd(8000)
    noise = np.random.default_rng(1).normal(size=vectors.shape) / np.sqrt(vectors.shape[1])
    copies = unit(vectors + 0.3 * noise)
    tree = ClusterTree.train(vectors, len(vectors))
    leaves, of_copies = tree.assign(vectors), tree.assign(copies)
    shared = (leaves[:, :, None] == of_copies[:, None, :]).any(axis=(1, 2))
    assert shared.mean() > 0.99


def test_a_tree_is_the_same_for_the_same_vectors() -> None:
    one, other = (ClusterTree.train(crowd(5000), 5000) for _ in range(2))
    assert np.array_equal(one.centroids, other.centroids)
    assert np.array_equal(one.child, other.child)


def test_equal_vectors_are_one_leaf() -> None:
    vectors = np.tile(crowd(1), (5000, 1))
    tree = ClusterTree.train(vectors, len(vectors))
    assert len(set(tree.assign(vectors)[:, 0].tolist())) == 1


def test_a_vector_visits_each_leaf_once() -> None:
    leaves = ClusterTree.train(crowd(8000), 8000).assign(crowd(500, seed=2), 2)
    assert (leaves[:, 0] != leaves[:, 1]).all()
    assert (leaves >= 0).all()
