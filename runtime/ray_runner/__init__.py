"""Stages over shards, on Ray or in this process: workers, services, progress, and a record of each result once."""
