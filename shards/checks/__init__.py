"""Checks of a DIR against the contract."""
