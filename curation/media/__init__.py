"""One video: download, probe, transcribe, encode, segment."""
