"""The orientation in which a player shows a decoded frame: one of the eight turned and mirrored ones.

A file states it as a display matrix, which the decoder attaches to each frame. The angle that libav derives from the
matrix (`frame.rotation`) says nothing about mirroring.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

_MATRIX: Final = struct.Struct("=9i")


@dataclass(frozen=True)
class Orientation:
    """The changes, in this order, that make the picture that is shown from the stored one."""

    transposed: bool = False
    """Rows become columns: width and height change places."""
    mirrored: bool = False
    """Left and right change places."""
    upside_down: bool = False
    """Top and bottom change places."""

    @classmethod
    def of_frame(cls, frame: Any) -> Self:
        """Return the orientation of a frame of PyAV."""
        data = frame.side_data.get("DISPLAYMATRIX")
        return cls() if data is None else cls.of_matrix(bytes(data))

    @classmethod
    def of_matrix(cls, data: bytes) -> Self:
        """Return the orientation that is nearest to a display matrix; the usual one if it is not a matrix.

        Args:
            data: nine 32-bit integers, as libav has them. A stored point (x, y) is shown at (a x + c y, b x + d y),
                where a, b are the first two of them, c, d the fourth and fifth.
        """
        if len(data) != _MATRIX.size:
            return cls()
        a, b, _, c, d, *_ = _MATRIX.unpack(data)
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, mirrored=a < 0, upside_down=d < 0)
        return cls(True, mirrored=c < 0, upside_down=b < 0)

    def applied(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a stored picture [H, W, 3] as it is shown."""
        if self == Orientation():
            return picture
        shown = picture.swapaxes(0, 1) if self.transposed else picture
        shown = shown[:, ::-1] if self.mirrored else shown
        return np.ascontiguousarray(shown[::-1] if self.upside_down else shown)
