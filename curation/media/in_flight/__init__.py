"""Work in flight: what a shard keeps in scratch until it is committed, so that a killed worker loses little of it."""
