"""Scores of a trained model on published benchmarks and on held-out shards."""
