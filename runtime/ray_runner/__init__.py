"""Stages on Ray Data: one row is one shard is one block."""
