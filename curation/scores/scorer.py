"""The interface of a score: its columns, the frames that it looks at, and how it becomes a value for each clip.

A score is one file below this folder, which ends with a `ScoreKind`, and one line of `curation.scores.score_registry`.
The stage decodes each root once and hands every scorer the frames that it asks for; a clip's frames are a span of its
root's. A scorer may raise: its columns are then null for the clips of that root, and counted as ``failed:<score>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import pyarrow as pa

from runtime.ray_runner.stage import Service
from runtime.settings import Settings
from shards.storage.store import Store
from shards.stored_rows import StoredClip, StoredText, StoredWord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curation.scores.root_frames import Frame

M = TypeVar("M")
Value = Any
"""A value of a column: a number, a string, a list, None; of a vector column, float [D] or None."""


@dataclass(frozen=True)
class ScoreColumn:
    """A column of the table of scores."""

    name: str
    meaning: str
    """One line for people, with the unit."""
    type: pa.DataType = pa.float32()  # noqa: RUF009  Arrow's types are immutable
    low: float | None = None
    """Least value; None: no bound."""
    high: float | None = None


@dataclass(frozen=True)
class VectorColumn:
    """A column of vectors, kept beside the table as ``<shard>.<name>.npy``."""

    name: str
    meaning: str
    model: str
    """URI of the model that makes the vectors."""


Column = ScoreColumn | VectorColumn


@dataclass(frozen=True)
class Sampling:
    """The frames of a root that a scorer looks at.

    At most one frame a second is taken from keyframes (the last one at or before each second), which is much cheaper:
    the stored video has a keyframe at least each second. Others are those shown at multiples of the spacing.
    """

    per_second: float
    """Frames a second of video; at least the stored rate: all frames."""
    and_after: int = 0
    """Take a second frame with each: the one so many frames later; 0: none."""

    @property
    def on_keyframes(self) -> bool:
        """True if only keyframes are taken."""
        return self.per_second <= 1


class Measure(NamedTuple, Generic[M]):
    """The value that a scorer measured on one frame."""

    time: float
    """Seconds from the root's first frame."""
    value: M


@dataclass(frozen=True)
class ScoredClip(Generic[M]):
    """One clip, as a scorer sees it."""

    row: StoredClip
    """Its row in the media table."""
    start: float
    """Seconds from the root's first frame."""
    end: float
    measures: Sequence[Measure[M]]
    """The measurements of the scorer on its frames, in order of time; empty if it looks at no frames."""
    words: Sequence[StoredWord]
    """The words spoken in it; times are of the original video."""
    text: StoredText | None
    """Its row in the text layer; None unless a score of the set needs texts."""

    @property
    def is_root(self) -> bool:
        """True for a clip without a parent."""
        return self.row["parent_key"] is None

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.row["end"] - self.row["start"]


class ShardRows(NamedTuple):
    """The clips of a shard, as tables have them."""

    clips: Sequence[StoredClip]
    """In the media's order."""
    texts: Mapping[str, StoredText]
    """By key; empty unless a score of the set needs texts."""


class ScoreResources(NamedTuple):
    """The means of a worker besides its settings."""

    store: Store
    """The DIR."""
    services: Mapping[str, Service]
    """Pools of engines, by the names in the settings."""


class Scorer(Generic[M]):
    """Base of all scorers: measures frames, then scores clips. It keeps no state between calls."""

    sampling: Sampling | None = None
    """The frames that it looks at; None: none."""

    def start(self, resources: ScoreResources) -> None:
        """Take what it needs of the DIR and the pools; called once, before the first clip.

        Raises:
            UserError: something that its settings name is missing.
        """

    @property
    def widths(self) -> Mapping[str, int]:
        """The numbers in a vector of each vector column that it makes, by name."""
        return {}

    def measure(self, frames: Sequence[Frame], before: Frame | None) -> Sequence[M]:
        """Return one value for each of some frames of a root.

        Args:
            frames: consecutive frames of its sampling, in order of time.
            before: the frame of its sampling before them; None at the root's beginning.
        """
        raise NotImplementedError

    def score(self, clip: ScoredClip[M]) -> Mapping[str, Value]:
        """Return the value of each column for one clip; None where there is none for a reason (no speech)."""
        raise NotImplementedError

    def score_all(self, clips: Sequence[ScoredClip[M]]) -> Sequence[Mapping[str, Value]]:
        """Return the values of all clips of a root at once, in order; for models that work in batches."""
        return [self.score(clip) for clip in clips]

    def complete(self, rows: Sequence[Mapping[str, Value]], shard: ShardRows) -> Sequence[Mapping[str, Value]]:
        """Return the final values of a whole shard, given those of `score_all`; for what compares clips.

        Args:
            rows: values of each clip of the shard, in the media's order; all None where the scorer failed.
            shard: rows of the same clips.
        """
        return rows


def _no_models(settings: Any) -> Mapping[str, str]:
    return {}


def _no_pictures(settings: Any) -> tuple[int, int]:
    return 0, 0


def _no_check(settings: Any) -> None:
    pass


def _no_texts(settings: Any) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class ScoreKind:
    """One score, as registered; functions are called with an instance of its `settings`."""

    name: str
    """Name in ``score.scores``, and of its branch of settings."""
    summary: str
    """One line for people: the description of its branch."""
    settings: type[Settings]
    columns: Callable[[Any], Sequence[Column]]
    """Return the columns that it makes; their names are unique among all scores."""
    build: Callable[[Any], Scorer[Any]]
    """Build the scorer in its worker's process; models are loaded here."""
    models: Callable[[Any], Mapping[str, str]] = _no_models
    """Return the URIs of the models that it loads, by purpose."""
    programs: tuple[str, ...] = ()
    """Distributions that compute it; their versions are recorded."""
    engines: Callable[[Any], Mapping[str, str]] = _no_models
    """Return the names of the engines that it calls, by the setting of its branch that names each."""
    embedders: tuple[str, ...] = ()
    """Those settings of `engines` that must name a pooling model."""
    pictures: Callable[[Any], tuple[int, int]] = _no_pictures
    """Return the most images and the most videos in one request to its engines."""
    needs_texts: Callable[[Any], bool] = _no_texts
    """Return True if it reads the text layer."""
    check: Callable[[Any], None] = _no_check
    """Raise ValueError, which names the setting and the remedy, if the score can't be made with the settings."""
    version: int = 1
    """Raised when the same settings give other values; part of the content hash."""


def share_of(flags: Sequence[bool] | NDArray[np.bool_]) -> float | None:
    """Return the share of frames for which a condition holds; None without frames."""
    return float(sum(map(bool, flags)) / len(flags)) if len(flags) else None


def mean_of(values: Sequence[float]) -> float | None:
    """Return the mean over frames; None without frames."""
    return float(sum(values) / len(values)) if len(values) else None
