"""Figures and last lines of commands: costs of runs, the next command, numbers as people write them."""
