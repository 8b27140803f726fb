"""Readers of published benchmarks. Each benchmark is one module and one line of a registry."""
