"""Injected errors: claims that are made false on purpose, to measure how many of them the judges accept."""
