"""What a run shows to other programs: metrics for Prometheus, and a trace of its shards."""
