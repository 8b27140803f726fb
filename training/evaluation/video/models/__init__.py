"""The models that are scored: our own, and those of other libraries."""
