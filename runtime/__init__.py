"""What curation and training both stand on: configuration, models, stages, errors, logs, progress."""
