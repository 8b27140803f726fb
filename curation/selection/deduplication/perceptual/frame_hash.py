"""The hash of a mirrored frame, from the hash of the frame."""

from __future__ import annotations

from typing import Final

import numpy as np

from curation.selection.deduplication.perceptual.frame_alignment import Hashes

_ODD_COLUMNS: Final = np.uint64(0x5555555555555555)
"""The bits of odd horizontal frequencies: row by row, the highest bit first."""


def mirrored(hashes: Hashes) -> Hashes:
    """Return the hashes of the same frames mirrored left to right.

    A hash holds the signs of a cosine transform against their median, which is near 0. Mirroring changes the sign of
    the odd horizontal frequencies, and nothing else.
    """
    return hashes ^ _ODD_COLUMNS
