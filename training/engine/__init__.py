"""The training loop and what it stands on; knows nothing of any one model."""
