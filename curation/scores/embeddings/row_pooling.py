"""The vector of a clip from the rows of its frames: the mean of the rows, each of length 1, again of length 1. Pure.

Shapes: N rows of a clip, D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_direction(rows_ND: Sequence[NDArray[Any]] | NDArray[Any]) -> NDArray[np.float32] | None:
    """Return the mean of rows of equal weight, of length 1.

    None: there are no rows, they cancel out, or one of them has no direction or is not finite.
    """
    if not len(rows_ND):
        return None
    wide_ND = np.asarray(rows_ND, np.float32)
    lengths_N1 = np.linalg.norm(wide_ND, axis=1, keepdims=True)
    if not (np.isfinite(lengths_N1).all() and lengths_N1.all()):
        return None
    mean_D = (wide_ND / lengths_N1).mean(axis=0)
    length = float(np.linalg.norm(mean_D))
    return mean_D / np.float32(length) if length else None
