"""The plan of a run's sources: what is new, what needs no work, and the shard of each, decided in bounded memory."""
