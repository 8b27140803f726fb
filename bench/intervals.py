"""Confidence intervals of shares."""

from __future__ import annotations

from math import sqrt
from typing import Final

_Z: Final = 1.96


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share (E. B. Wilson, 1927); (0, 1) for no trials."""
    if total == 0:
        return 0.0, 1.0
    share = hits / total
    middle = share + _Z**2 / (2 * total)
    spread = _Z * sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    scale = 1 + _Z**2 / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
