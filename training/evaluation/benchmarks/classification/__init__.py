"""Benchmarks of classes: readers of their published files."""
