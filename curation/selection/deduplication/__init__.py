"""Deduplication over all shards: exact, perceptual and semantic duplicates, and the clips that stay of each group."""
