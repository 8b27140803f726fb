"""The shard contract: what curation writes and training reads. Imports neither ray nor torch."""
