"""The state of the selections of a DIR: their figures, and whether the tables that they were made from have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from shards.artifact import Artifact
from shards.errors import ShardError
from shards.reader import map_ahead, read_artifact, shards_in
from shards.selections.selection import recipe_of, selections, shards_of, table_name
from shards.storage.store import Store


@dataclass(frozen=True)
class SelectionState:
    """One selection."""

    name: str
    layer: str | None
    """Text layer whose clips it chooses; None if its record names none."""
    counts: Mapping[str, float]
    """Figures that were stored with it: ``clips``, ``kept``, ``val``, ``dropped:<reason>``, hours."""
    has_recipe: bool
    """True if `curate select` made it, False if a run did."""
    out_of_date: str | None
    """One line: the first table that has changed, or the number of shards that it lacks; None if it is up to date."""


@dataclass
class PresentDigests:
    """The digests of the tables of a DIR as they are now; each is read once."""

    store: Store
    _known: dict[str, str | None] = field(default_factory=dict)

    def of(self, names: Sequence[str]) -> Mapping[str, str | None]:
        """Return the digest of each table; None for one that is gone or unreadable."""
        new = [name for name in names if name not in self._known]
        self._known.update(zip(new, map_ahead(self._read, new), strict=True))
        return {name: self._known[name] for name in names}

    def forget(self, name: str) -> None:
        """Read a table again the next time."""
        self._known.pop(name, None)

    def _read(self, name: str) -> str | None:
        try:
            return read_artifact(self.store, name).digest
        except (FileNotFoundError, ShardError):
            return None


def selection_states(store: Store) -> list[SelectionState]:
    """Return the state of every selection of a DIR, by name.

    Raises:
        ShardError: a table became unreadable meanwhile.
    """
    present = PresentDigests(store)
    return [selection_state(store, name, present) for name in selections(store)]


def selection_state(store: Store, name: str, present: PresentDigests) -> SelectionState:
    """Return the state of one selection.

    Raises:
        ShardError: its table is unreadable.
        FileNotFoundError: there is no such selection.
    """
    artifact = read_artifact(store, table_name(name))
    layer = layer_of(artifact)
    has_recipe = recipe_of(store, name) is not None
    return SelectionState(name, layer, artifact.counts, has_recipe, _change(store, artifact, layer, present))


def layer_of(artifact: Artifact) -> str | None:
    """Return the text layer whose clips a selection chooses."""
    parts = (PurePosixPath(name).parts for name in artifact.inputs)
    return next((one[1] for one in parts if one[0] == "text" and len(one) > 2), None)


def _change(store: Store, artifact: Artifact, layer: str | None, present: PresentDigests) -> str | None:
    now = present.of(list(artifact.inputs))
    for name, digest in artifact.inputs.items():
        if now[name] != digest:
            return f"{name} {'has changed' if now[name] else 'is gone'}"
    newer = set(shards_in(store.list(f"text/{layer}"))) - shards_of(artifact) if layer else set()
    return f"{len(newer)} shard{'s are' if len(newer) > 1 else ' is'} newer" if newer else None
