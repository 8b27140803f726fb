"""Published benchmarks: where their annotations say what, and what their papers report."""
