"""The folder of a run: checkpoints, models as folders, and their records."""
