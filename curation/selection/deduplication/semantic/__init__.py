"""Semantic duplicates: vectors that are close, compared within the leaves of a tree of clusters."""
