"""What a classification benchmark is once its files are read: names of classes, and videos with the class of each.

`labelled_sets` opens one by name; `training.evaluation.video.classification` scores it, `training.vidla.labelled_source`
trains on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.errors import UserError


@dataclass(frozen=True)
class LabelledVideo:
    """One video (or a span of it) and its class."""

    id: str
    path: Path | None
    """None where no file of that name was found; counted as missing, never left out silently."""
    label: int
    """Index into the set's `classes`."""
    start: float | None = None
    """Seconds of the original video where the labelled span begins; None: the whole file."""
    end: float | None = None
    """Seconds where it ends."""


@dataclass(frozen=True)
class ClassificationSet:
    """One split of a benchmark."""

    name: str
    split: str
    classes: tuple[str, ...]
    """Names as they are put into a sentence; the order gives the indices."""
    items: tuple[LabelledVideo, ...]

    @property
    def missing(self) -> tuple[LabelledVideo, ...]:
        """Items whose file was not found."""
        return tuple(item for item in self.items if item.path is None)

    def in_order_of(self, classes: Sequence[str]) -> ClassificationSet:
        """The same videos with the indices of another list of classes, such as a head's.

        Raises:
            UserError: a class of this set is not on the list.
        """
        indices = {name: index for index, name in enumerate(classes)}
        unknown = sorted(set(self.classes) - set(indices))
        if unknown:
            raise UserError(
                f"{self.name} {self.split}: {len(unknown)} of its {len(self.classes)} classes are none of the head's, "
                f"such as {unknown[0]!r}; take a head and annotations of the same benchmark"
            )
        items = tuple(replace(item, label=indices[self.classes[item.label]]) for item in self.items)
        return replace(self, classes=tuple(classes), items=items)

    def thinned(self, most: int) -> ClassificationSet:
        """At most so many videos, taken evenly over all: files are often sorted by class."""
        if most >= len(self.items):
            return self
        return replace(self, items=tuple(self.items[number * len(self.items) // most] for number in range(most)))
