"""The shard contract: the files that curation writes and training reads. Imports neither Ray nor torch."""
