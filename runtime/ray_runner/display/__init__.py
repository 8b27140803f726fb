"""Figures of a run while it goes on: adds them up, shows them in the terminal, and logs them."""
