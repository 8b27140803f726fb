"""A classification benchmark, and one split of it once its files are read: class names, and videos with their class.

`classification_registry` opens one by name; `training.evaluation.video.classification` scores a model on it, and
`training.vidla.finetuning.labelled_source` trains on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.annotation_files import PublishedFiles
from runtime.errors import UserError


@dataclass(frozen=True)
class LabelledVideo:
    """One video (or a span of it) and its class."""

    id: str
    path: Path | None
    """None if there is no file of that name: the video is counted as missing, never left out silently."""
    label: int
    """Index into the set's `classes`."""
    start: float | None = None
    """Seconds of the original video at which the labelled span begins; None: the whole file."""
    end: float | None = None
    """Seconds at which it ends."""


@dataclass(frozen=True)
class ClassificationSet:
    """One split of a benchmark."""

    name: str
    split: str
    classes: tuple[str, ...]
    """Class names as they are put into a sentence; their order gives the indices."""
    items: tuple[LabelledVideo, ...]

    @property
    def missing(self) -> tuple[LabelledVideo, ...]:
        """Videos without a file."""
        return tuple(item for item in self.items if item.path is None)

    def in_order_of(self, classes: Sequence[str]) -> ClassificationSet:
        """Return the same videos with labels that index another list of classes, such as a head's.

        Raises:
            UserError: a class of this set is not on the list.
        """
        indices = {name: index for index, name in enumerate(classes)}
        unknown = sorted(set(self.classes) - set(indices))
        if unknown:
            raise UserError(
                f"{self.name} {self.split}: the head lacks {len(unknown)} of its {len(self.classes)} classes, such as "
                f"{unknown[0]!r}; use a head and annotations of the same benchmark"
            )
        items = tuple(replace(item, label=indices[self.classes[item.label]]) for item in self.items)
        return replace(self, classes=tuple(classes), items=items)

    def thinned(self, most: int) -> ClassificationSet:
        """Return at most `most` videos, evenly spaced over the list: files are often sorted by class."""
        if most >= len(self.items):
            return self
        return replace(self, items=tuple(self.items[number * len(self.items) // most] for number in range(most)))


@dataclass(frozen=True)
class ClassificationBenchmark:
    """All that the registry and the guide need to know of a benchmark."""

    name: str
    """Value of `--benchmark`."""
    splits: tuple[str, ...]
    """Names of the splits, the one of the published scores first."""
    files: Mapping[str, PublishedFiles]
    """Published annotation files of each split; empty if the benchmark needs no annotations."""
    read: Callable[[Path, Path, str], ClassificationSet]
    """Reader of one split, from annotations and the folder of videos; raises `UserError`."""
