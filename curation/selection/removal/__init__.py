"""Removal of videos on request: from every tar, table, array, page and log of a DIR."""
