"""The files of a dataset card at the top of a DIR. They show figures and clips of all videos together."""

from __future__ import annotations

from typing import Final

from shards.storage.store import Store

README: Final = "README.md"
REPORT: Final = "report.html"
CROISSANT: Final = "croissant.json"
CARD_FILES: Final = (README, REPORT, CROISSANT)
MARK: Final = "Written by curate card; the next card replaces this file."
"""A sentence in each of them, by which they are told apart from a user's own files of the same names."""
_HEAD: Final = 1 << 16


def is_own(store: Store, name: str) -> bool:
    """Return True if a file of one of these names was written as part of a card, or isn't there.

    Args:
        store: the DIR, or the folder that a card goes to.
        name: one of `CARD_FILES`.
    """
    if not store.exists(name):
        return True
    return MARK.encode() in store.read_bytes(name, 0, _HEAD)


def delete_card(store: Store) -> list[str]:
    """Delete the files of a card, which may show any video, and return their names; a user's own files stay."""
    found = [name for name in CARD_FILES if store.exists(name) and is_own(store, name)]
    for name in found:
        store.delete(name)
    return found
