"""The observers, one line each, and the settings of the caption stage that are composed of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, create_model

from curation.captions.events.event_observer import EVENTS
from curation.captions.frames.frame_observer import FRAME_CAPTIONS
from curation.captions.frames.frame_settings import FrameSettings
from curation.captions.objects.object_observer import OBJECTS
from curation.captions.observer import Observer, ObserverKind
from curation.captions.screen_text.screen_text_observer import ON_SCREEN_TEXT
from runtime.ray_runner.stage import Service
from runtime.settings import Settings

OBSERVER_KINDS: Final[tuple[ObserverKind, ...]] = (
    FRAME_CAPTIONS,
    EVENTS,
    ON_SCREEN_TEXT,
    OBJECTS,
)
"""All observers, in the order in which they look at a shard."""


class _CaptionSettings(FrameSettings):
    """Observers of the pictures: frame captions, and what else the pipeline asks for."""

    def content(self) -> dict[str, Any]:
        """Return the settings that decide the observations: only those of the observers in use."""
        own = ((kind, values) for kind, values in used_observers(self) if kind.branch)
        return super().content() | {kind.branch: values.content() for kind, values in own}

    def prompt_refs(self) -> list[str]:
        """Return ``name@version`` of the prompts in use."""
        return [ref for kind, values in used_observers(self) if (ref := kind.prompt(values))]


if TYPE_CHECKING:

    class CaptionSettings(_CaptionSettings):
        """Settings of all observers."""

        def __init__(self, **values: Any) -> None: ...

else:
    CaptionSettings = create_model(
        "CaptionSettings",
        __base__=_CaptionSettings,
        __module__=__name__,
        __doc__=_CaptionSettings.__doc__,
        **{
            kind.branch: (kind.settings, Field(kind.settings(), description=kind.summary))
            for kind in OBSERVER_KINDS
            if kind.branch
        },
    )


def used_observers(settings: _CaptionSettings) -> Iterator[tuple[ObserverKind, Settings]]:
    """Yield the observers that the settings ask for, each with its own settings."""
    for kind in OBSERVER_KINDS:
        values = getattr(settings, kind.branch) if kind.branch else settings
        if kind.is_on(values):
            yield kind, values


def build_observers(settings: CaptionSettings, services: Mapping[str, Service]) -> list[Observer]:
    """Build the observers that the settings ask for."""
    return [kind.build(values, services) for kind, values in used_observers(settings)]
