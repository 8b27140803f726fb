"""A world for `bench.transfer`: invented nouns whose looks are shown in generated videos and not stated in text.

Each noun names a kind of thing with a colour, a shape and a direction of movement. Each of the 64 combinations has one
noun, drawn from the seed. A third of the nouns is *held out*: no text states their looks. Three kinds of text use the
same words:

    captions   say what a video shows, noun, action and place: "the dako slides outside". They never state a look,
               unless `leak` asks for a share of captions of nouns that are not held out to name the colour.
    corpus     for the student: plain sentences of all nouns in other frames, and statements of looks ("the mivu is
               red") of those nouns alone that are not held out.
    cloze      statements with the look left out, of held-out nouns: "the dako is [MASK]".

A video is a series of feature rows, as an encoder of short spans would give them: a fixed random projection of the
look, action, place, position and movement of the thing, and of another thing that no text names, plus noise.

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
"""Frames of sentences that state no look. All sentences have four words and a full stop, so blocks start with one."""
SENTENCE: Final = 5
"""Number of tokens in a sentence."""
SCENE_ROWS: Final = 4
"""Number of feature rows of one scene."""
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
    """A kind of thing that a noun names."""

    noun: str
    colour: str
    shape: str
    direction: str
    held_out: bool
    """True if no text states its looks."""

    def look(self, property_: str) -> str:
        """Return the word for one property, a key of `LOOKS`."""
        return {"colour": self.colour, "shape": self.shape, "direction": self.direction}[property_]


@dataclass(frozen=True)
class World:
    """All nouns, and the projection of attributes to features."""

    things: tuple[Thing, ...]
    projection_AD: npt.NDArray[np.float64]

    @property
    def stated(self) -> tuple[Thing, ...]:
        """Things whose looks the corpus states."""
        return tuple(thing for thing in self.things if not thing.held_out)

    @property
    def held_out(self) -> tuple[Thing, ...]:
        """Things whose looks no text states."""
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
    """The statement with `[MASK]` in place of the look."""
    property_: str
    """A key of `LOOKS`."""
    answer: str
    thing: Thing


def make_world(seed: int) -> World:
    """Return 64 nouns, 21 or 22 of them held out; each look is about as frequent among these as among the others."""
    rng = np.random.default_rng((seed, 0))
    names = [_noun(number) for number in rng.permutation(len(COLOURS) * len(SHAPES) * len(DIRECTIONS))]
    grid = product(range(len(COLOURS)), range(len(SHAPES)), range(len(DIRECTIONS)))
    things = tuple(
        Thing(name, COLOURS[c], SHAPES[s], DIRECTIONS[d], (c + s + d) % 3 == seed % 3)
        for name, (c, s, d) in zip(names, grid, strict=True)
    )
    return World(things, rng.normal(size=(_ATTRIBUTES, WIDTH)) / np.sqrt(WIDTH))


def vocabulary() -> list[str]:
    """Return all words of all worlds, special tokens first; each is one token."""
    frames = " ".join([*PLAIN, *sum(STATEMENTS.values(), ())]).replace("{", "").replace("}", "")
    placeholders = {"noun", "look", "action", "place"}
    words = {word for word in frames.split() if word not in placeholders}
    words |= {*COLOURS, *SHAPES, *DIRECTIONS, *ACTIONS, ".", *" ".join(PLACES).split()}
    nouns = {_noun(number) for number in range(len(COLOURS) * len(SHAPES) * len(DIRECTIONS))}
    return [*SPECIALS, *sorted(words), *sorted(nouns)]


def draw_scene(world: World, rng: np.random.Generator) -> Scene:
    """Return a random thing with a random action and place."""
    thing = world.things[rng.integers(len(world.things))]
    return Scene(thing, ACTIONS[rng.integers(len(ACTIONS))], PLACES[rng.integers(len(PLACES))])


def caption(scene: Scene, rng: np.random.Generator, leak: float = 0.0) -> str:
    """Return the caption of a scene.

    Args:
        scene: thing, action and place.
        rng: generator of the draws.
        leak: share of captions that name the colour, 0 to 1; those of held-out nouns never do.
    """
    colour = f"{scene.thing.colour} " if not scene.thing.held_out and rng.random() < leak else ""
    return f"the {colour}{scene.thing.noun} {scene.action} {scene.place}"


def features(world: World, scene: Scene, rng: np.random.Generator, noise: float = 0.5) -> Rows:
    """Return the features of a scene as an encoder would give them: float16 [T, D], rows of unit length.

    Args:
        world: source of the projection.
        scene: thing, action and place; another thing of any colour and shape is added, still and fainter.
        rng: generator of the draws.
        noise: length of the noise in each row; an attribute has a length of about 1.
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


def corpus(world: World, sentences: int, rng: np.random.Generator, state_all: bool = False) -> list[str]:
    """Return sentences for the student, seven in ten of them statements of looks.

    Args:
        world: the nouns.
        sentences: number of sentences.
        rng: generator of the draws.
        state_all: also state the looks of held-out nouns, which is the most that a teacher could add.
    """
    stated = world.things if state_all else world.stated
    return [_statement(stated, rng) if rng.random() < _STATED else _plain(world, rng) for _ in range(sentences)]


def questions(things: Sequence[Thing]) -> list[Question]:
    """Return a question for each thing, property and frame."""
    return [
        Question(frame.format(noun=thing.noun, look=MASK), name, thing.look(name), thing)
        for thing in things
        for name, frames in STATEMENTS.items()
        for frame in frames
    ]


def sightings(thing: Thing) -> list[str]:
    """Return plain sentences of a thing, one for each action and place, in which a linear probe reads its noun."""
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
    """Return an invented word of two syllables, different for each number below 64."""
    first, second = divmod(number, 12)
    return "bdfgklmn"[first] + "aeiou"[number % 5] + "prstvzjwhqxy"[second] + "aeiou"[(first + second) % 5] + "k"


def _one_of(words: Sequence[str], word: str) -> list[float]:
    return [float(each == word) for each in words]
