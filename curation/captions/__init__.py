"""Captions: from the keyframes of a shard to its frame captions."""
