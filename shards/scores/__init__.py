"""Score sets, ``scores/<name>/``: one table of scores a shard, a row a clip, and vectors beside it."""
