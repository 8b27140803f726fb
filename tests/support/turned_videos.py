"""Videos with the eight display matrices that turn and mirror a picture, as phones and editors write them."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ONE: Final = 1 << 16
_USUAL: Final = (_ONE, 0, 0, 0, _ONE, 0, 0, 0, 1 << 30)
_BEFORE_MATRIX: Final = 40  # bytes from a track's header `tkhd` to its matrix, in version 0

MATRICES: Final = {
    "usual": (1, 0, 0, 1),
    "turned 90": (0, -1, 1, 0),
    "turned 180": (-1, 0, 0, -1),
    "turned 270": (0, 1, -1, 0),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transposed and turned 180": (0, -1, -1, 0),
}
"""The numbers a, b, c, d by which a stored point (x, y) is shown at (a x + c y, b x + d y)."""


def matrix_bytes(a: float, b: float, c: float, d: float) -> bytes:
    """Return a display matrix as libav has it."""
    return struct.pack("=9i", *(round(v * _ONE) for v in (a, b, 0, c, d)), 0, 0, 0, 1 << 30)


def with_matrix(mp4: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """Return an mp4 with another display matrix in the header of its first track."""
    at = mp4.index(b"tkhd") + 4 + _BEFORE_MATRIX
    assert struct.unpack(">9i", mp4[at : at + 36]) == _USUAL
    return mp4[:at] + struct.pack(">9i", a * _ONE, b * _ONE, 0, c * _ONE, d * _ONE, 0, 0, 0, 1 << 30) + mp4[at + 36 :]


def shown(picture: NDArray[np.uint8], a: int, b: int, c: int, d: int) -> NDArray[np.uint8]:
    """Return a stored picture as it is shown: pixel by pixel from the definition of the matrix, slow and plain."""
    height, width = picture.shape[:2]
    points = {(x, y): (a * x + c * y, b * x + d * y) for x in range(width) for y in range(height)}
    left, top = (min(point[axis] for point in points.values()) for axis in (0, 1))
    size = (width, height) if a else (height, width)
    made = np.zeros((size[1], size[0], 3), np.uint8)
    for (x, y), (to_x, to_y) in points.items():
        made[to_y - top, to_x - left] = picture[y, x]
    return made
