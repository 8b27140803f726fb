"""Scores of a clip's speech and texts."""
