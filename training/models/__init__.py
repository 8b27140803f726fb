"""Models and their losses; they know nothing of runs and commands."""
