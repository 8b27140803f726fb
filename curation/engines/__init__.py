"""The models that curation calls, each behind a small interface."""
