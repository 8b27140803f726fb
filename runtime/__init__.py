"""Shared by curation and training: settings, models, stages on Ray, errors, bounds, locks, logs, progress."""
