"""Scores of clips: one file a score, computed from one decode of each root and from its words and texts."""
