"""Benchmarks of pairs of video and text: readers of their published files."""
