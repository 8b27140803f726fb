"""Generated clips of 32 frames and their captions, by the length of the dependency that a caption needs; numpy only.

    still       "red square rests left" / "… right"          one frame is enough: the control
    order-d     "red square before blue ring" / reversed     which appears first, 1, 4, 16 or 28 frames before the other
    blink       "red square blinks" / "… shines"             a dark frame within the time that it is lit, or at its end
    drift       "red square brightens" / "… fades"           a slow drift over all frames, smaller than the jitter

Clips come in pairs with opposite captions. The two clips of a pair, but for the control's, are *twins*: the same
frames, noise included, in another order. A bag of frames can't tell twins apart: it is right in 50 %.

Every clip has distractors: another of the things, for one frame, and jitter of the brightness from frame to frame.
Combinations are held out of training at random: pairs of things for the order of events, things for each other query.
Every random draw is from a given generator.

Shapes: B clips, T frames, S pixels of a side, C = 3 colours, L text tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.learns.things import COLOURS, PLACES, SHAPES, THINGS, Cell, Frames, Thing, empty, paint

FRAMES: Final = 32
DISTANCES: Final = (1, 4, 16, 28)
"""Frames from the first event to the second."""
CONTROL: Final = "still"
TIMED: Final = (*(f"order-{distance}" for distance in DISTANCES), "blink", "drift")
"""Queries that need time."""
QUERIES: Final = (CONTROL, *TIMED)
CONTEXT: Final = 8
"""Tokens of a caption: at most five words, and the end."""

_HELD_OUT_PAIRS, _HELD_OUT_THINGS = 9, 4
_SHOWN = 4
"""Frames that each thing of an `order` clip is shown: the first to appear is the first to go."""
_LIT = 7
"""Frames that a thing is lit in a `blink` clip."""
_DIM, _JITTER, _NOISE = 0.35, 0.12, 6.0

Combination = tuple[Thing, ...]
"""What may be held out of training: two things in either order, or one thing."""


@dataclass(frozen=True)
class Clip:
    """A video with its caption."""

    caption: str
    frames_TSSC: npt.NDArray[np.uint8]


Pair = tuple[Clip, Clip]
"""Clips with opposite captions."""


@dataclass(frozen=True)
class Split:
    """Combinations of every query, by the part that they are in; no combination is in both."""

    trained: Mapping[str, Sequence[Combination]]
    held_out: Mapping[str, Sequence[Combination]]


def draw_split(rng: np.random.Generator) -> Split:
    """Hold out a quarter of the pairs of things, for all distances alike, and six things of each other query."""
    pairs = _divided(list(combinations(THINGS, 2)), _HELD_OUT_PAIRS, rng)
    alone = {
        query: _divided([(thing,) for thing in THINGS], _HELD_OUT_THINGS, rng) for query in (CONTROL, "blink", "drift")
    }
    parts = {query: pairs if query.startswith("order") else alone[query] for query in QUERIES}
    return Split({query: part[0] for query, part in parts.items()}, {query: part[1] for query, part in parts.items()})


def draw_pair(query: str, combination: Combination, rng: np.random.Generator) -> Pair:
    """Return two clips with opposite captions of one query, about one combination."""
    if query == CONTROL:
        return _still(combination[0], rng)
    if query.startswith("order"):
        return _order(combination, int(query.removeprefix("order-")), rng)
    return {"blink": _blink, "drift": _drift}[query](combination[0], rng)


def _divided(
    whole: Sequence[Combination], held_out: int, rng: np.random.Generator
) -> tuple[list[Combination], list[Combination]]:
    """Return the trained and the held-out part."""
    shuffled = [whole[int(number)] for number in rng.permutation(len(whole))]
    return shuffled[held_out:], shuffled[:held_out]


def _still(thing: Thing, rng: np.random.Generator) -> Pair:
    first, second = (Cell(int(rng.integers(2)), column) for column in (0, 1))
    clips = []
    for cell in (first, second):
        frames_TSSC = _stage({thing}, rng, [cell])
        paint(frames_TSSC, thing.shape, COLOURS[thing.colour], cell, np.ones(FRAMES))
        clips.append(Clip(f"{thing} rests {cell.side}", _finished(frames_TSSC, rng)))
    return clips[0], clips[1]


def _order(things: Combination, distance: int, rng: np.random.Generator) -> Pair:
    """Show two things, each for a few frames from its own first one; reverse the time that this takes."""
    first, second = (things[int(number)] for number in rng.permutation(2))
    length = distance + _SHOWN
    start = int(rng.integers(FRAMES - length + 1))
    cells = [PLACES[int(number)] for number in rng.permutation(len(PLACES))[:2]]
    frames_TSSC = _stage({first, second}, rng, cells, range(start, start + length))
    for thing, cell, frame in zip((first, second), cells, (start, start + distance), strict=True):
        paint(frames_TSSC, thing.shape, COLOURS[thing.colour], cell, _lit(range(frame, frame + _SHOWN)))
    order_T = np.arange(FRAMES)
    order_T[start : start + length] = order_T[start : start + length][::-1]
    return _twins(frames_TSSC, order_T, (f"{first} before {second}", f"{second} before {first}"), rng)


def _blink(thing: Thing, rng: np.random.Generator) -> Pair:
    """Move the dark frame from within the lit ones to their end."""
    start = int(rng.integers(FRAMES - _LIT))
    gap = start + int(rng.integers(2, _LIT - 1))
    lit = [frame for frame in range(start, start + _LIT + 1) if frame != gap]
    cell = PLACES[int(rng.integers(len(PLACES)))]
    frames_TSSC = _stage({thing}, rng, [cell], range(start, start + _LIT + 1))
    paint(frames_TSSC, thing.shape, COLOURS[thing.colour], cell, _lit(lit))
    order_T = np.arange(FRAMES)
    order_T[[gap, start + _LIT]] = start + _LIT, gap
    return _twins(frames_TSSC, order_T, (f"{thing} blinks", f"{thing} shines"), rng)


def _drift(thing: Thing, rng: np.random.Generator) -> Pair:
    """Reverse the frames; the jitter between neighbours is several times the drift between them."""
    cell = PLACES[int(rng.integers(len(PLACES)))]
    light_T = np.linspace(_DIM, 1, FRAMES) + rng.normal(0, _JITTER, FRAMES)
    frames_TSSC = _stage({thing}, rng, [cell])
    paint(frames_TSSC, thing.shape, COLOURS[thing.colour], cell, light_T.clip(0.05, 1))
    return _twins(frames_TSSC, np.arange(FRAMES)[::-1], (f"{thing} brightens", f"{thing} fades"), rng)


def _stage(named: set[Thing], rng: np.random.Generator, cells: Sequence[Cell], busy: Sequence[int] = ()) -> Frames:
    """Return frames with a distractor: another thing in one frame that is not `busy`, in a cell that is not taken."""
    frames_TSSC = empty(FRAMES, rng.integers(30, 90))
    free = [cell for cell in PLACES if cell not in cells]
    place = free[int(rng.integers(len(free)))]
    others = [thing for thing in THINGS if thing not in named]
    other = others[int(rng.integers(len(others)))]
    frames = [frame for frame in range(FRAMES) if frame not in busy] or list(range(FRAMES))
    paint(frames_TSSC, other.shape, COLOURS[other.colour], place, _lit([frames[int(rng.integers(len(frames)))]]))
    return frames_TSSC


def _lit(frames: Sequence[int]) -> npt.NDArray[np.float64]:
    light_T = np.zeros(FRAMES)
    light_T[list(frames)] = 1
    return light_T


def _twins(
    frames_TSSC: Frames, order_T: npt.NDArray[np.int64], captions: tuple[str, str], rng: np.random.Generator
) -> Pair:
    finished_TSSC = _finished(frames_TSSC, rng)
    return Clip(captions[0], finished_TSSC), Clip(captions[1], finished_TSSC[order_T])


def _finished(frames_TSSC: Frames, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Add the jitter of each frame's brightness, and noise to each pixel."""
    gain_T111 = rng.normal(1, _JITTER / 2, (len(frames_TSSC), 1, 1, 1)).astype(np.float32)
    noise_TSSC = rng.standard_normal(frames_TSSC.shape, dtype=np.float32) * _NOISE
    finished_TSSC: npt.NDArray[np.uint8] = (frames_TSSC * gain_T111 + noise_TSSC).clip(0, 255).astype(np.uint8)
    return finished_TSSC


def draw_still_frame(rng: np.random.Generator) -> Clip:
    """Return one frame for the frame-wise pretraining: one thing and its side, or two things in any order."""
    first, second = (THINGS[int(number)] for number in rng.permutation(len(THINGS))[:2])
    cells = [PLACES[int(number)] for number in rng.permutation(len(PLACES))[:2]]
    frames_1SSC = empty(1, rng.integers(30, 90))
    both = bool(rng.integers(2))
    for thing, cell in zip((first, second) if both else (first,), cells, strict=False):
        paint(frames_1SSC, thing.shape, COLOURS[thing.colour], cell, rng.uniform(_DIM, 1, 1))
    caption = " and ".join(sorted((str(first), str(second)))) if both else f"{first} rests {cells[0].side}"
    return Clip(caption, _finished(frames_1SSC, rng))


def vocabulary() -> dict[str, int]:
    """Return the ids of all words of all captions, from 1; 0 is padding."""
    actions = ["rests", "left", "right", "before", "and", "blinks", "shines", "brightens", "fades"]
    return {word: number for number, word in enumerate(sorted({*COLOURS, *SHAPES, *actions}), start=1)}


def tokenize(captions: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return int64 [B, L]: the words, then one end token with the highest id of all, then zeros."""
    ids = vocabulary()
    tokens_BL = np.zeros((len(captions), CONTEXT), dtype=np.int64)
    for row_L, caption in zip(tokens_BL, captions, strict=True):
        words = [*(ids[word] for word in caption.split()), len(ids) + 1]
        row_L[: len(words)] = words
    return tokens_BL
