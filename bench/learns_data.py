"""Generated videos whose captions need time, for `bench.learns`; numpy only, every random draw from a given generator.

A *thing* is a colour and a shape. A *scene* is twelve frames of one thing that does something. What it can do comes in
four kinds, and two clips one after the other make a fifth:

    rest        "red square rests at the top"             needs no time: the control
    direction   "red square moves left"                   the same frames backwards: "moves right"
    speed       "red square falls slowly"                 the same places, crossed once or, twice as fast, twice
    scale       "red square blinks"                       three odd frames, which only level 0 sees; "glows": in one go
                "red square brightens"                    a drift over the whole scene; backwards: "fades"
    order       "red square then blue ring"               two scenes at half the frame rate

Every caption about time has a *twin* whose videos consist of the same frames in another order: a model that sees a bag
of frames can tell a video from all others, but not from its twin, so half is the most that its R@1 can reach.

A *root* is four scenes, one of each of the four kinds, in a random order. Five clips nest in it: the scenes and one
pair of neighbours. In training one quarter of the things is left out for each kind, and every thing is left out beside
one other; `gallery` makes clips of just these combinations.

Shapes: B clips, T frames, S pixels of a side, C = 3 colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

FRAMES = 12
SIZE = 32
SPRITE = 10
FREE = SIZE - SPRITE
"""Pixels that a thing can move by."""

COLOURS = {
    "red": (230, 30, 30),
    "green": (30, 200, 30),
    "blue": (40, 60, 240),
    "yellow": (230, 220, 20),
    "purple": (200, 30, 220),
    "white": (240, 240, 240),
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
    """Where a thing is and how bright, frame by frame."""

    left_T: npt.NDArray[np.int64]
    top_T: npt.NDArray[np.int64]
    light_T: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clip:
    """What is trained on and looked for."""

    kind: str
    caption: str
    twin: str | None
    """The caption of the same frames in another order; None where order says nothing."""
    frames_TSSC: Frames
    start: float
    """Scenes from the start of the root."""
    end: float


THINGS = tuple(Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES))


def held_out(kind: str) -> tuple[Thing, ...]:
    """The six of the 24 things that never do anything of this kind in training; each colour is among them once."""
    number = list(KINDS).index(kind)
    return tuple(t for c, s, t in _numbered() if (c + s + number) % len(SHAPES) == 0)


@cache
def held_out_pairs() -> tuple[tuple[Thing, Thing], ...]:
    """Twelve pairs that are never neighbours in training, in neither order; every thing is in one of them."""
    shuffled = np.random.default_rng(24).permutation(len(THINGS)).tolist()
    return tuple((THINGS[a], THINGS[b]) for a, b in zip(shuffled[::2], shuffled[1::2], strict=True))


def draw_root(rng: np.random.Generator) -> tuple[Scene, ...]:
    """Four scenes, one of each kind, of combinations that are not held out."""
    forbidden = {frozenset(pair) for pair in held_out_pairs()}
    while True:
        kinds = rng.permutation(list(KINDS)).tolist()
        root = tuple(_draw_scene(kind, rng) for kind in kinds)
        neighbours = [frozenset((a.thing, b.thing)) for a, b in pairwise(root)]
        if all(len(pair) == 2 and pair not in forbidden for pair in neighbours):
            return root


def clips_of(root: tuple[Scene, ...], count: int, rng: np.random.Generator) -> list[Clip]:
    """`count` different ones of a root's five clips."""
    grey = int(rng.integers(40, 100))
    pair = int(rng.integers(len(root) - 1))
    chosen = rng.permutation(len(root) + 1)[:count].tolist()
    return [
        scene_clip(root[number], number, grey, rng)
        if number < len(root)
        else order_clip(root[pair], root[pair + 1], pair, grey, rng)
        for number in chosen
    ]


def gallery(kind: str, rng: np.random.Generator) -> list[Clip]:
    """24 clips with different captions, all of held-out combinations; every caption's twin is among them."""
    if kind == "order":
        pairs = [order for a, b in held_out_pairs() for order in ((a, b), (b, a))]
        return [order_clip(_scene_of(a, rng), _scene_of(b, rng), 0, int(rng.integers(40, 100)), rng) for a, b in pairs]
    return [
        scene_clip(Scene(kind, thing, does), 0, int(rng.integers(40, 100)), rng)
        for thing, does in product(held_out(kind), KINDS[kind])
    ]


def scene_clip(scene: Scene, number: int, grey: int, rng: np.random.Generator) -> Clip:
    """One scene, all of its frames."""
    twin = TWINS.get(scene.does)
    frames_TSSC = _with_noise(render(scene, grey, rng), rng)
    caption = f"{scene.thing} {scene.does}"
    return Clip(scene.kind, caption, twin and f"{scene.thing} {twin}", frames_TSSC, float(number), number + 1.0)


def order_clip(first: Scene, second: Scene, number: int, grey: int, rng: np.random.Generator) -> Clip:
    """Two scenes, every second frame of them."""
    both_TSSC = np.concatenate([render(first, grey, rng)[::2], render(second, grey, rng)[::2]])
    caption, twin = f"{first.thing} then {second.thing}", f"{second.thing} then {first.thing}"
    return Clip("order", caption, twin, _with_noise(both_TSSC, rng), float(number), number + 2.0)


def render(scene: Scene, grey: int, rng: np.random.Generator) -> Frames:
    """The scene on an even background, without noise: uint8 [T, S, S, C]."""
    way = course(scene.does, rng)
    mask_SS1 = _mask(scene.thing.shape)[..., None]
    colour = np.array(COLOURS[scene.thing.colour], dtype=np.float64)
    frames_TSSC = np.full((FRAMES, SIZE, SIZE, 3), grey, dtype=np.uint8)
    for frame_SSC, left, top, light in zip(frames_TSSC, way.left_T, way.top_T, way.light_T, strict=True):
        window_SSC = frame_SSC[top : top + SPRITE, left : left + SPRITE]
        window_SSC[:] = np.where(mask_SS1, grey + light * (colour - grey), window_SSC)
    return frames_TSSC


def course(does: str, rng: np.random.Generator) -> Course:
    """The course of one action; with generators in the same state, twins give the same frames in another order."""
    anywhere = rng.integers(0, FREE + 1, size=2)
    along_T = np.arange(FRAMES) * FREE // (FRAMES - 1)
    still_T, even_T = np.zeros(FRAMES, dtype=np.int64), np.ones(FRAMES)
    match does.split():
        case ["rests", *place]:
            left, top = _place(place[-1], anywhere)
            return Course(still_T + left, still_T + top, even_T)
        case ["moves", where]:
            line_T = along_T[::-1] if where in ("left", "up") else along_T
            if where in ("left", "right"):
                return Course(line_T, still_T + anywhere[1], even_T)
            return Course(still_T + anywhere[0], line_T, even_T)
        case ["falls" | "climbs" as verb, pace]:
            line_T = along_T if pace == "slowly" else np.concatenate([along_T[::2], along_T[1::2]])
            return Course(line_T, line_T if verb == "falls" else FREE - line_T, even_T)
    return Course(still_T + anywhere[0], still_T + anywhere[1], _light(does, rng))


def vocabulary() -> dict[str, int]:
    """Ids of all words of all captions, from 1; 0 fills up."""
    actions = [word for values in KINDS.values() for does in values for word in does.split()]
    return {word: number for number, word in enumerate(sorted({*COLOURS, *SHAPES, *actions, "then"}), start=1)}


def tokenize(captions: list[str], length: int) -> npt.NDArray[np.int64]:
    """int64 [B, length]: the words, then one end token with the highest id of all, then zeros."""
    ids = vocabulary()
    tokens_BL = np.zeros((len(captions), length), dtype=np.int64)
    for row_L, caption in zip(tokens_BL, captions, strict=True):
        words = [*(ids[word] for word in caption.split()), len(ids) + 1]
        row_L[: len(words)] = words
    return tokens_BL


def _numbered() -> list[tuple[int, int, Thing]]:
    return [(c, s, Thing(colour, shape)) for c, colour in enumerate(COLOURS) for s, shape in enumerate(SHAPES)]


@cache
def _trained(kind: str) -> tuple[Thing, ...]:
    return tuple(thing for thing in THINGS if thing not in held_out(kind))


def _draw_scene(kind: str, rng: np.random.Generator) -> Scene:
    things, actions = _trained(kind), KINDS[kind]
    return Scene(kind, things[rng.integers(len(things))], actions[rng.integers(len(actions))])


def _scene_of(thing: Thing, rng: np.random.Generator) -> Scene:
    """A scene of this thing as they occur in training."""
    kinds = [kind for kind in KINDS if thing in _trained(kind)]
    kind = kinds[rng.integers(len(kinds))]
    return Scene(kind, thing, KINDS[kind][rng.integers(len(KINDS[kind]))])


def _with_noise(frames_TSSC: Frames, rng: np.random.Generator) -> Frames:
    """Independent noise in every frame, so that frames of different clips differ."""
    return frames_TSSC + rng.integers(0, 16, size=frames_TSSC.shape, dtype=np.uint8)


def _place(place: str, anywhere: npt.NDArray[np.int64]) -> tuple[int, int]:
    left, top = anywhere.tolist()
    near = {"left": (0, top), "right": (FREE, top), "top": (left, 0), "bottom": (left, FREE)}
    return near[place]


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
