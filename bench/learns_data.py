"""Generated videos whose captions need time, for `bench.learns`; numpy only, every random draw from a given generator.

A *thing* is a colour and a shape. A *scene* is twelve frames of one thing that does something. Its actions are of four
kinds, and two consecutive clips make a fifth:

    rest        "red square rests at the top"             needs no time: the control
    direction   "red square moves left"                   the same frames backwards: "moves right"
    speed       "red square falls slowly"                 the same positions, crossed once or, "quickly", four times
    scale       "red square blinks"                       three odd frames, which only level 0 sees; "glows": adjacent
                "red square brightens"                    a drift over the whole scene; backwards: "fades"
    order       "red square then blue ring"               two scenes at half the frame rate

Every caption about time has a *twin* whose videos consist of the same frames in another order: a model that sees a bag
of frames can distinguish a video from all others but not from its twin, so its R@1 is at most a half, except by luck.

A *root* is four scenes, one of each kind, in random order. It contains five clips: the scenes and one pair of
neighbours. For each kind, training leaves out one quarter of the 16 things, and for each thing one neighbour; `gallery`
makes clips of exactly these combinations.

Shapes: B clips, T frames, S pixels of a side, C = 3 colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

FRAMES = 12
CELLS = 3
"""Cells of a side of the grid. A thing fills one cell; if cells are patches, one patch shows all of it."""
SPRITE = 8
SIZE = CELLS * SPRITE

COLOURS = {
    "red": (230, 30, 30),
    "green": (30, 200, 30),
    "blue": (40, 60, 240),
    "yellow": (230, 220, 20),
}
SHAPES = ("square", "ring", "cross", "bars")
KINDS = {
    "rest": ("rests at the top", "rests at the bottom", "rests on the left", "rests on the right"),
    "direction": ("moves left", "moves right", "moves up", "moves down"),
    "speed": ("falls slowly", "falls quickly", "climbs slowly", "climbs quickly"),
    "scale": ("blinks", "glows", "brightens", "fades"),
}
ALL_KINDS = (*KINDS, "order")
TWINS = {
    "moves left": "moves right",
    "moves up": "moves down",
    "falls slowly": "falls quickly",
    "climbs slowly": "climbs quickly",
    "blinks": "glows",
    "brightens": "fades",
}
TWINS |= {second: first for first, second in TWINS.items()}

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Thing:
    """A colour and a shape."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """Twelve frames of one thing."""

    kind: str
    """One of `KINDS`."""
    thing: Thing
    does: str
    """One of `KINDS[kind]`."""


@dataclass(frozen=True)
class Course:
    """Position of a thing in cells, and its brightness, frame by frame."""

    column_T: npt.NDArray[np.int64]
    row_T: npt.NDArray[np.int64]
    light_T: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clip:
    """A video with its caption."""

    kind: str
    caption: str
    twin: str | None
    """The caption of the same frames in another order; None if order does not matter."""
    frames_TSSC: Frames
    start: float
    """Scenes from the start of the root."""
    end: float


THINGS = tuple(Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES))


@cache
def held_out(kind: str) -> tuple[Thing, ...]:
    """Return the four of the 16 things that have no action of this kind in training: two colours by two shapes."""
    number = list(KINDS).index(kind)
    colours = list(COLOURS)[number % 2 :: 2]
    shapes = [SHAPES[number], SHAPES[(number + 1) % len(SHAPES)]]
    return tuple(Thing(colour, shape) for colour, shape in product(colours, shapes))


@cache
def held_out_pairs() -> tuple[tuple[Thing, Thing], ...]:
    """Return eight pairs that are never neighbours in training, in either order; every thing is in one of them."""
    shuffled = np.random.default_rng(16).permutation(len(THINGS)).tolist()
    return tuple((THINGS[a], THINGS[b]) for a, b in zip(shuffled[::2], shuffled[1::2], strict=True))


def draw_things(count: int, rng: np.random.Generator) -> tuple[Thing, ...]:
    """Return different things; more than four of them have all actions in training."""
    return tuple(THINGS[number] for number in rng.permutation(len(THINGS))[:count])


def draw_root(things: Sequence[Thing], rng: np.random.Generator) -> tuple[Scene, ...]:
    """Return four scenes, one of each kind, of combinations of `things` that are not held out."""
    forbidden = {frozenset(pair) for pair in held_out_pairs()}
    while True:
        kinds = rng.permutation(list(KINDS)).tolist()
        root = tuple(_draw_scene(kind, things, rng) for kind in kinds)
        neighbours = [frozenset((a.thing, b.thing)) for a, b in pairwise(root)]
        if all(len(pair) == 2 and pair not in forbidden for pair in neighbours):
            return root


def clips_of(root: tuple[Scene, ...], count: int, rng: np.random.Generator) -> list[Clip]:
    """Return `count` different clips of a root's five."""
    grey = int(rng.integers(30, 70))
    pair = int(rng.integers(len(root) - 1))
    chosen = rng.permutation(len(root) + 1)[:count].tolist()
    return [
        scene_clip(root[number], number, grey, rng)
        if number < len(root)
        else order_clip(root[pair], root[pair + 1], pair, grey, rng)
        for number in chosen
    ]


def gallery(kind: str, rng: np.random.Generator) -> list[Clip]:
    """Return 16 clips of held-out combinations with different captions, which include every caption's twin."""
    if kind == "order":
        pairs = [order for a, b in held_out_pairs() for order in ((a, b), (b, a))]
        return [order_clip(_scene_of(a, rng), _scene_of(b, rng), 0, int(rng.integers(30, 70)), rng) for a, b in pairs]
    return [
        scene_clip(Scene(kind, thing, does), 0, int(rng.integers(30, 70)), rng)
        for thing, does in product(held_out(kind), KINDS[kind])
    ]


def scene_clip(scene: Scene, number: int, grey: int, rng: np.random.Generator) -> Clip:
    """Return a clip of one scene, with all of its frames."""
    twin = TWINS.get(scene.does)
    frames_TSSC = _with_noise(render(scene, grey, rng), rng)
    caption = f"{scene.thing} {scene.does}"
    return Clip(scene.kind, caption, twin and f"{scene.thing} {twin}", frames_TSSC, float(number), number + 1.0)


def order_clip(first: Scene, second: Scene, number: int, grey: int, rng: np.random.Generator) -> Clip:
    """Return a clip of two scenes, with every second frame of them."""
    both_TSSC = np.concatenate([render(first, grey, rng)[::2], render(second, grey, rng)[::2]])
    caption, twin = f"{first.thing} then {second.thing}", f"{second.thing} then {first.thing}"
    return Clip("order", caption, twin, _with_noise(both_TSSC, rng), float(number), number + 2.0)


def render(scene: Scene, grey: int, rng: np.random.Generator) -> Frames:
    """Draw a scene on an even background, without noise: uint8 [T, S, S, C]."""
    way = course(scene.does, rng)
    mask_SS1 = _mask(scene.thing.shape)[..., None]
    colour = np.array(COLOURS[scene.thing.colour], dtype=np.float64)
    frames_TSSC = np.full((FRAMES, SIZE, SIZE, 3), grey, dtype=np.uint8)
    for frame_SSC, row, column, light in zip(frames_TSSC, way.row_T, way.column_T, way.light_T, strict=True):
        top, left = row * SPRITE, column * SPRITE
        window_SSC = frame_SSC[top : top + SPRITE, left : left + SPRITE]
        window_SSC[:] = np.where(mask_SS1, grey + light * (colour - grey), window_SSC)
    return frames_TSSC


def course(does: str, rng: np.random.Generator) -> Course:
    """Return the course of one action; from equal generators, twins have the same frames in another order."""
    anywhere = rng.integers(CELLS, size=2)
    along_T = np.arange(FRAMES) * CELLS // FRAMES
    still_T, even_T = np.zeros(FRAMES, dtype=np.int64), np.ones(FRAMES)
    match does.split():
        case ["rests", *place]:
            column, row = _place(place[-1])
            return Course(still_T + column, still_T + row, even_T)
        case ["moves", where]:
            line_T = along_T[::-1] if where in ("left", "up") else along_T
            if where in ("left", "right"):
                return Course(line_T, still_T + CELLS // 2, even_T)
            return Course(still_T + CELLS // 2, line_T, even_T)
        case ["falls" | "climbs" as verb, pace]:
            line_T = along_T if pace == "slowly" else np.arange(FRAMES) % CELLS
            return Course(line_T, line_T if verb == "falls" else CELLS - 1 - line_T, even_T)
    return Course(still_T + anywhere[0], still_T + anywhere[1], _light(does, rng))


def vocabulary() -> dict[str, int]:
    """Return the ids of all words of all captions, from 1; 0 is padding."""
    actions = [word for values in KINDS.values() for does in values for word in does.split()]
    return {word: number for number, word in enumerate(sorted({*COLOURS, *SHAPES, *actions, "then"}), start=1)}


def tokenize(captions: list[str], length: int) -> npt.NDArray[np.int64]:
    """Return int64 [B, length]: the words, then one end token with the highest id of all, then zeros."""
    ids = vocabulary()
    tokens_BL = np.zeros((len(captions), length), dtype=np.int64)
    for row_L, caption in zip(tokens_BL, captions, strict=True):
        words = [*(ids[word] for word in caption.split()), len(ids) + 1]
        row_L[: len(words)] = words
    return tokens_BL


def _draw_scene(kind: str, things: Sequence[Thing], rng: np.random.Generator) -> Scene:
    trained, actions = [thing for thing in things if thing not in held_out(kind)], KINDS[kind]
    return Scene(kind, trained[rng.integers(len(trained))], actions[rng.integers(len(actions))])


def _scene_of(thing: Thing, rng: np.random.Generator) -> Scene:
    """Return a scene of this thing that may occur in training."""
    kinds = [kind for kind in KINDS if thing not in held_out(kind)]
    kind = kinds[rng.integers(len(kinds))]
    return Scene(kind, thing, KINDS[kind][rng.integers(len(KINDS[kind]))])


def _with_noise(frames_TSSC: Frames, rng: np.random.Generator) -> Frames:
    """Add independent noise to every frame, so that frames of different clips differ."""
    return frames_TSSC + rng.integers(0, 8, size=frames_TSSC.shape, dtype=np.uint8)


def _place(place: str) -> tuple[int, int]:
    """Return column and row of the middle of a side."""
    middle, last = CELLS // 2, CELLS - 1
    return {"left": (0, middle), "right": (last, middle), "top": (middle, 0), "bottom": (middle, last)}[place]


def _light(does: str, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    dim, lit = 0.35, 3
    start = int(rng.integers(4))
    if does == "blinks":
        frames = 1 + 2 * (start + np.arange(lit))
    elif does == "glows":
        frames = 2 * start + 1 + np.arange(lit)
    else:
        rising_T = np.linspace(dim, 1, FRAMES)
        return rising_T if does == "brightens" else rising_T[::-1]
    light_T = np.full(FRAMES, dim)
    light_T[frames] = 1
    return light_T


@cache
def _mask(shape: str) -> npt.NDArray[np.bool_]:
    row, column = np.indices((SPRITE, SPRITE))
    edge = np.minimum.reduce([row, column, SPRITE - 1 - row, SPRITE - 1 - column])
    masks: dict[str, npt.NDArray[np.bool_]] = {
        "square": edge >= 0,
        "ring": edge < 2,
        "cross": (abs(2 * row - SPRITE + 1) <= 3) | (abs(2 * column - SPRITE + 1) <= 3),
        "bars": row % 4 < 2,
    }
    return masks[shape]
