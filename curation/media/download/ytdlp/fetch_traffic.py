"""Requests and bytes of one download process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FetchTraffic:
    """Counts of all responses so far, pages and segments included."""

    requests: int = 0
    received: int = 0
    """Bytes, after decompression."""
