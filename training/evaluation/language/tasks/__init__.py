"""The language tasks, and readers of their published files."""
