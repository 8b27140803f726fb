"""The metrics of a run: measured in the loop, written to files and shown by trackers."""
