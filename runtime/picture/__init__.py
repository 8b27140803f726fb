"""The meaning of a decoded frame, for curation and training alike: its colours, and which way up it is shown."""
