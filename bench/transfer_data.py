"""A world for `bench.transfer`: invented nouns whose looks generated videos show and text does not tell.

Each noun names a kind of thing with a colour, a shape and a direction it moves in. All 64 combinations occur, each as
one noun; which noun has which is drawn from the seed. A third of the nouns is *held out*: no text ever says how they
look. Three kinds of text are made of the same words:

    captions   say what a video shows, noun, action and place: "the dako slides outside". They never tell a look,
               unless `leak` asks for a share of captions of nouns that are not held out to name the colour.
    corpus     for the student: plain sentences of all nouns in other frames, and statements of looks ("the mivu is
               red") of those nouns alone that are not held out.
    cloze      statements with the look left out, of held-out nouns: "the dako is [MASK]".

A video is a series of feature rows, as an encoder of short spans would give them: a fixed random projection of the
look, the action, the place, where the thing is and how it moves, and of another thing that no text names, plus noise.

Shapes: T rows of features over time, A attributes, D feature width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

COLOURS: Final = ("red", "green", "blue", "yellow")
SHAPES: Final = ("round", "square", "pointed", "flat")
DIRECTIONS: Final = ("left", "right", "up", "down")
LOOKS: Final[dict[str, tuple[str, ...]]] = {"colour": COLOURS, "shape": SHAPES, "direction": DIRECTIONS}
"""Words by property."""
ACTIONS: Final = ("slides", "hops", "spins")
PLACES: Final = ("inside", "outside")
STATEMENTS: Final[dict[str, tuple[str, ...]]] = {
    "colour": ("the {noun} is {look}", "{look} is the {noun}"),
    "shape": ("the {noun} looks {look}", "{look} looks the {noun}"),
    "direction": ("the {noun} goes {look}", "{look} goes the {noun}"),
}
"""Frames of sentences that state a look."""
PLAIN: Final = ("we saw {noun} {place}", "{place} the {noun} {action}", "the {noun} {action} {place}")
"""Frames of sentences that don't. All sentences have four words and a full stop, so that blocks begin with one."""
SENTENCE: Final = 5
"""Tokens of a sentence."""
SCENE_ROWS: Final = 4
"""Feature rows of one scene."""
WIDTH: Final = 64
"""D."""
MASK: Final = "[MASK]"
SPECIALS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", MASK)
_STEPS: Final = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, 1.0), "down": (0.0, -1.0)}
_ATTRIBUTES: Final = 2 * (len(COLOURS) + len(SHAPES)) + 4 + len(ACTIONS) + len(PLACES)
_STATED: Final = 0.7  # share of the corpus's sentences that state a look

Rows = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Thing:
    """What a noun names."""

    noun: str
    colour: str
    shape: str
    direction: str
    held_out: bool
    """Whether no text says how it looks."""

    def look(self, property_: str) -> str:
        """The word for one property, a key of `LOOKS`."""
        return {"colour": self.colour, "shape": self.shape, "direction": self.direction}[property_]


@dataclass(frozen=True)
class World:
    """All nouns, and how an encoder sees attributes."""

    things: tuple[Thing, ...]
    projection_AD: npt.NDArray[np.float64]

    @property
    def told(self) -> tuple[Thing, ...]:
        """Those whose looks the corpus states."""
        return tuple(thing for thing in self.things if not thing.held_out)

    @property
    def held_out(self) -> tuple[Thing, ...]:
        """Those whose looks no text states."""
        return tuple(thing for thing in self.things if thing.held_out)


@dataclass(frozen=True)
class Scene:
    """One thing that does one thing in one place."""

    thing: Thing
    action: str
    place: str


@dataclass(frozen=True)
class Question:
    """A statement with its look left out."""

    text: str
    """With `[MASK]` where the look stood."""
    property_: str
    """A key of `LOOKS`."""
    answer: str
    thing: Thing


def make_world(seed: int) -> World:
    """64 nouns, 21 or 22 of them held out, so that each look is about as frequent among those as among the others."""
    rng = np.random.default_rng((seed, 0))
    names = [_noun(number) for number in rng.permutation(len(COLOURS) * len(SHAPES) * len(DIRECTIONS))]
    grid = product(range(len(COLOURS)), range(len(SHAPES)), range(len(DIRECTIONS)))
    things = tuple(
        Thing(name, COLOURS[c], SHAPES[s], DIRECTIONS[d], (c + s + d) % 3 == seed % 3)
        for name, (c, s, d) in zip(names, grid, strict=True)
    )
    return World(things, rng.normal(size=(_ATTRIBUTES, WIDTH)) / np.sqrt(WIDTH))


def vocabulary() -> list[str]:
    """All words of all worlds, special tokens first, each one token."""
    frames = " ".join([*PLAIN, *sum(STATEMENTS.values(), ())]).replace("{", "").replace("}", "")
    placeholders = {"noun", "look", "action", "place"}
    words = {word for word in frames.split() if word not in placeholders}
    words |= {*COLOURS, *SHAPES, *DIRECTIONS, *ACTIONS, ".", *" ".join(PLACES).split()}
    nouns = {_noun(number) for number in range(len(COLOURS) * len(SHAPES) * len(DIRECTIONS))}
    return [*SPECIALS, *sorted(words), *sorted(nouns)]


def draw_scene(world: World, rng: np.random.Generator) -> Scene:
    """Any thing, action and place."""
    thing = world.things[rng.integers(len(world.things))]
    return Scene(thing, ACTIONS[rng.integers(len(ACTIONS))], PLACES[rng.integers(len(PLACES))])


def caption(scene: Scene, rng: np.random.Generator, leak: float = 0.0) -> str:
    """What a person would say of the scene.

    Args:
        scene: what is to be seen.
        rng: of the draw.
        leak: share of captions that name the colour, 0 to 1; those of held-out nouns never do.
    """
    colour = f"{scene.thing.colour} " if not scene.thing.held_out and rng.random() < leak else ""
    return f"the {colour}{scene.thing.noun} {scene.action} {scene.place}"


def features(world: World, scene: Scene, rng: np.random.Generator, noise: float = 0.5) -> Rows:
    """The scene as an encoder would see it: float16 [T, D], rows of unit length.

    Args:
        world: gives the projection.
        scene: what is to be seen; beside it another thing, of any colour and shape, that stands still and is fainter.
        rng: of the draw.
        noise: length of what is added to each row, where an attribute has a length of about 1.
    """
    thing, time_T = scene.thing, np.linspace(0, 1, SCENE_ROWS)
    step_2 = np.array(_STEPS[thing.direction])
    path_T2 = rng.uniform(-0.5, 0.5, 2) + (time_T[:, None] - 0.5) * step_2
    other = (COLOURS[rng.integers(len(COLOURS))], SHAPES[rng.integers(len(SHAPES))])
    still = [
        *_one_of(COLOURS, thing.colour),
        *_one_of(SHAPES, thing.shape),
        *(0.5 * value for value in (*_one_of(COLOURS, other[0]), *_one_of(SHAPES, other[1]))),
        *(0.5 * value for value in (*_one_of(PLACES, scene.place), *_one_of(ACTIONS, scene.action))),
    ]
    seen_TA = np.concatenate([np.tile([*still, *step_2], (SCENE_ROWS, 1)), path_T2], axis=1)
    rows_TD = seen_TA @ world.projection_AD + noise * rng.normal(size=(SCENE_ROWS, WIDTH)) / np.sqrt(WIDTH)
    unit_TD: npt.NDArray[np.float64] = rows_TD / np.linalg.norm(rows_TD, axis=1, keepdims=True)
    return unit_TD.astype(np.float16)


def corpus(world: World, sentences: int, rng: np.random.Generator, tell_all: bool = False) -> list[str]:
    """Sentences for the student, seven in ten of them statements of looks.

    Args:
        world: the nouns.
        sentences: how many.
        rng: of the draw.
        tell_all: state the looks of held-out nouns too: what the best of teachers could bring.
    """
    stated = world.things if tell_all else world.told
    return [_statement(stated, rng) if rng.random() < _STATED else _plain(world, rng) for _ in range(sentences)]


def questions(things: Sequence[Thing]) -> list[Question]:
    """One question a thing, property and frame."""
    return [
        Question(frame.format(noun=thing.noun, look=MASK), name, thing.look(name), thing)
        for thing in things
        for name, frames in STATEMENTS.items()
        for frame in frames
    ]


def sightings(thing: Thing) -> list[str]:
    """Plain sentences of a thing, one an action and place: where a linear probe reads its noun."""
    return [f"the {thing.noun} {action} {place}" for action, place in product(ACTIONS, PLACES)]


def _statement(things: Sequence[Thing], rng: np.random.Generator) -> str:
    thing = things[int(rng.integers(len(things)))]
    name = list(LOOKS)[rng.integers(len(LOOKS))]
    frames = STATEMENTS[name]
    return frames[rng.integers(len(frames))].format(noun=thing.noun, look=thing.look(name))


def _plain(world: World, rng: np.random.Generator) -> str:
    scene = draw_scene(world, rng)
    return PLAIN[rng.integers(len(PLAIN))].format(noun=scene.thing.noun, action=scene.action, place=scene.place)


def _noun(number: int) -> str:
    """An invented word of two syllables: another one for each number below 64."""
    first, second = divmod(number, 12)
    return "bdfgklmn"[first] + "aeiou"[number % 5] + "prstvzjwhqxy"[second] + "aeiou"[(first + second) % 5] + "k"


def _one_of(words: Sequence[str], word: str) -> list[float]:
    return [float(each == word) for each in words]
