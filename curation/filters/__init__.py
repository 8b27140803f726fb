"""Filters: each marks the clips that are not worth keeping with a reason of its own."""
