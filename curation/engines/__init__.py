"""The models that curation calls, each behind the smallest interface that serves."""
