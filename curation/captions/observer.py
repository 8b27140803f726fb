"""The interface of an observer: it looks at the pictures of a shard and returns what it saw, and when.

An observer is one file below this folder and one line of `curation.captions.observer_registry`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from curation.captions.observation import Observation
from curation.engines.engine_interface import ImageRef
from runtime.ray_runner.stage import Service
from runtime.settings import Settings
from shards.storage.store import Store
from shards.stored_rows import StoredClip


@dataclass(frozen=True)
class ShardPictures:
    """The pictures of one shard: its stills, and its roots' videos."""

    store: Store
    """The DIR."""
    keyframes: Mapping[str, ImageRef]
    """Stills by name (``<root_key>.<ms>.jpg``), in order of root and time."""
    clips: Sequence[StoredClip]
    """All clips of the shard, in tree order."""
    media: str
    """Name, in the DIR, of the tar with the roots' videos."""


class Observer(Protocol):
    """Looks at pictures; no picture and no answer of a model makes it raise."""

    async def observe(self, pictures: ShardPictures, counts: Counter[str]) -> list[Observation]:
        """Return what is seen in a shard.

        Args:
            pictures: of the shard.
            counts: figures of the shard to add to: requests, tokens, failures as ``failed:<what>``.

        Raises:
            MachineError: the engine behind the observer is dead.
            OSError: the disk or the network fails.
        """


def _no_engine(settings: Any) -> str | None:
    return None


def _no_model(settings: Any) -> str | None:
    return None


def _no_pictures(settings: Any) -> tuple[int, int]:
    return 0, 0


@dataclass(frozen=True, kw_only=True)
class ObserverKind:
    """One kind of observer, as registered. It calls an engine or loads a model of its own."""

    branch: str
    """Name of its branch of settings under `caption`; empty: its settings are those of the stage itself."""
    summary: str
    """One line for people: the description of its branch."""
    settings: type[Settings]
    is_on: Callable[[Any], bool]
    """Return True if the settings ask for this observer; called with an instance of `settings`, as all below."""
    build: Callable[[Any, Mapping[str, Service]], Observer]
    """Build the observer in its worker's process, from its settings and the pools of the engines."""
    engine: Callable[[Any], str | None] = _no_engine
    """Return the name of the engine that it calls."""
    model: Callable[[Any], str | None] = _no_model
    """Return the URI of the model that it loads itself."""
    programs: tuple[str, ...] = ()
    """Distributions that run that model; their versions are recorded."""
    prompt: Callable[[Any], str | None] = _no_model
    """Return ``name@version`` of its prompt."""
    detects: bool = False
    """True if its engine must be a detector of objects; otherwise it must answer prompts."""
    pictures: Callable[[Any], tuple[int, int]] = _no_pictures
    """Return the most images and the most videos that it puts into one request to its engine."""

    def setting(self, name: str) -> str:
        """Return the full name of one of its settings."""
        return ".".join(part for part in ("caption", self.branch, name) if part)
