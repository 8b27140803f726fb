"""Coloured shapes and the frames that show them; numpy only.

Shapes: T frames, S pixels of a side, C = 3 colours, P pixels of a sprite.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

CELLS: Final = 2
"""Cells of a side of a frame; a thing fills one cell, and a cell is one patch."""
SPRITE: Final = 8
"""Pixels of a side of a cell."""
SIZE: Final = CELLS * SPRITE

COLOURS: Final = {"red": (230, 30, 30), "green": (30, 200, 30), "blue": (40, 60, 240)}
SHAPES: Final = ("square", "ring", "bars")

Frames = npt.NDArray[np.float32]
"""Frames [T, S, S, C], 0 to 255."""


@dataclass(frozen=True)
class Thing:
    """A colour and a shape."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Cell:
    """A place in a frame."""

    row: int
    column: int

    @property
    def side(self) -> str:
        """Word for the column."""
        return "left" if self.column == 0 else "right"


THINGS: Final = tuple(Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES))
PLACES: Final = tuple(Cell(row, column) for row, column in product(range(CELLS), repeat=2))


def empty(frames: int, grey: float) -> Frames:
    """Return frames of an even background."""
    return np.full((frames, SIZE, SIZE, 3), grey, dtype=np.float32)


def paint(
    frames_TSSC: Frames, shape: str, colour: tuple[int, int, int], cell: Cell, light_T: npt.NDArray[np.float64]
) -> None:
    """Draw a thing into frames, in place, over what its cell shows.

    Args:
        frames_TSSC: the frames.
        shape: one of `SHAPES`.
        colour: RGB, 0 to 255.
        cell: where.
        light_T: share of the thing's colour in each frame, 0 (nothing is drawn) to 1.
    """
    top, left = cell.row * SPRITE, cell.column * SPRITE
    window_TPPC = frames_TSSC[:, top : top + SPRITE, left : left + SPRITE]
    share_TPP1 = (light_T[:, None, None] * _mask(shape))[..., None].astype(np.float32)
    window_TPPC += share_TPP1 * (np.array(colour, dtype=np.float32) - window_TPPC)


@cache
def _mask(shape: str) -> npt.NDArray[np.bool_]:
    row, column = np.indices((SPRITE, SPRITE))
    edge = np.minimum.reduce([row, column, SPRITE - 1 - row, SPRITE - 1 - column])
    masks: dict[str, npt.NDArray[np.bool_]] = {
        "square": edge >= 0,
        "ring": edge < 2,
        "bars": row % 4 < 2,
    }
    return masks[shape]
