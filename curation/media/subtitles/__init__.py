"""Subtitle files: choose one, decode it, split it into cues, and remove what is not speech."""
