"""Scores of a clip's frames."""
