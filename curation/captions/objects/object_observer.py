"""The observer of objects: a detector names and counts the things in each keyframe."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import Field

from curation.captions.keyframe_names import parse_keyframe_name
from curation.captions.observation import Observation
from curation.captions.observer import ObserverKind, ShardPictures
from curation.engines.engine_interface import DetectedObject, Detection
from curation.prompts.wording import tidy
from runtime.ray_runner.stage import Service
from runtime.settings import Runtime, Settings


class ObjectSettings(Settings):
    """The detector of objects, and what it must be sure of."""

    engine: Runtime[str | None] = None
    """Detector, by its name under `engines` (`kind: detector`); null: objects are not looked for."""
    threshold: float = Field(default=0.6, gt=0, lt=1)
    """Objects with a lower score are left out."""
    max_names: int = Field(default=8, ge=1)
    """Most names of one keyframe; the largest objects come first."""


class ObjectObserver:
    """Counts objects; a `curation.captions.observer.Observer`."""

    def __init__(self, engine: Service, settings: ObjectSettings) -> None:
        self._engine = engine
        self._settings = settings

    async def observe(self, pictures: ShardPictures, counts: Counter[str]) -> list[Observation]:
        """Return what each keyframe shows, such as ``2 × dog, 1 × ball``; nothing for one without objects.

        Raises:
            MachineError: the detector is dead.
        """
        if not pictures.keyframes:
            return []
        found: Mapping[str, Detection] = await self._engine.acall("detect", dict(pictures.keyframes))
        observations: list[Observation] = []
        for name in pictures.keyframes:
            seen = found.get(name) or Detection(error="no answer")
            counts["failed:objects"] += seen.error is not None
            sure = [each for each in seen.objects if each.score >= self._settings.threshold]
            counts["objects"] += len(sure)
            if sure:
                observations.append(_observation(name, sure, self._settings.max_names))
        return observations


def _observation(name: str, objects: Iterable[DetectedObject], max_names: int) -> Observation:
    by_name: dict[str, list[DetectedObject]] = defaultdict(list)
    for each in objects:
        by_name[tidy(each.name)].append(each)
    largest = sorted(by_name.items(), key=lambda item: (-sum(each.share for each in item[1]), item[0]))[:max_names]
    named = [each for _, of_name in largest for each in of_name]
    text = ", ".join(f"{len(of_name)} × {label}" for label, of_name in largest)
    root, milliseconds = parse_keyframe_name(name)
    time, share = milliseconds / 1000, min(1.0, sum(each.share for each in named))
    return Observation(root, "object", time, time, text, min(each.score for each in named), share)


def _build(settings: ObjectSettings, services: Mapping[str, Service]) -> ObjectObserver:
    assert settings.engine is not None, "an observer that is off is not built"
    return ObjectObserver(services[settings.engine], settings)


OBJECTS: Final = ObserverKind(
    branch="objects",
    summary="Objects in the keyframes with their number, found by a detector.",
    settings=ObjectSettings,
    is_on=lambda settings: settings.engine is not None,
    build=_build,
    engine=lambda settings: settings.engine,
    detects=True,
)
