"""Delivery of trained models: folders that other programs open, their card, and their upload."""

from typing import Final

README: Final = "README.md"
"""Name of a model's card."""
MARK: Final = "trained with clipgrove"
"""Words in every card, by which an earlier export is known."""
