"""Child processes: what they are given at their start, and the helper that reads untrusted files."""
