"""The demo: input made from packages alone, and the main job run on it."""
