"""Stages over all shards that choose clips. They make no text and no media, and call no model."""
