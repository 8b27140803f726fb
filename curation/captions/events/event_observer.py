"""The observer of events: each short clip is one request with 4 to 16 frames of its stored video.

Longer clips get the events of their children by time (`curation.captions.observation.observed_between`): no model looks
twice at the same seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from curation.captions.events.event_answers import EventFlaw, EventLimits, event_schema, parse_events
from curation.captions.events.event_settings import EventSettings
from curation.captions.observation import Observation
from curation.captions.observer import ObserverKind, ShardPictures
from curation.engines.engine_interface import Answer, FramesRef, ImageRef, Request
from curation.engines.shared_requests import ask
from runtime.ray_runner.stage import Service
from shards.stored_rows import StoredClip


class EventObserver:
    """Asks a vision-language model what happens; a `curation.captions.observer.Observer`."""

    def __init__(self, engine: Service, settings: EventSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._prompt = settings.load_prompt()
        self._language = self._prompt.language
        self._schema = event_schema(settings.max_events, settings.event_chars)

    async def observe(self, pictures: ShardPictures, counts: Counter[str]) -> list[Observation]:
        """Return the events of each smallest clip, in tree order; one without a usable answer has a row without text.

        Raises:
            MachineError: the engine is dead.
        """
        clips = smallest_clips(pictures.clips)
        url = pictures.store.path(pictures.media)
        answers = await ask(self._engine, [self._request(clip, url) for clip in clips], counts)
        observations: list[Observation] = []
        for clip in clips:
            observations += self._read(clip, answers[clip["key"]], counts)
        counts["clips_watched"] += len(clips)
        return observations

    def _request(self, clip: StoredClip, url: str) -> Request:
        settings = self._settings
        frames = self._frames(clip, url)
        seconds = round(clip["end"] - clip["start"], 1)
        system, user = self._prompt.render(frames=len(frames.times), seconds=seconds, max_events=settings.max_events)
        return Request(clip["key"], system, user, frames=frames, schema=self._schema, max_tokens=settings.max_tokens)

    def _frames(self, clip: StoredClip, url: str) -> FramesRef:
        """Return the middles of equal parts of a clip, as times of the stored file."""
        settings = self._settings
        seconds = clip["end"] - clip["start"]
        count = min(max(round(seconds / settings.seconds_per_frame), settings.min_frames), settings.max_frames)
        middles = [seconds * (part + 0.5) / count for part in range(count)]
        last = (clip["num_frames"] - 1) / clip["fps"]
        times = tuple(min(clip["offset"] + middle, last) for middle in middles)
        labels = tuple(f"{middle:.1f} s:" for middle in middles)
        file = ImageRef(url, clip["byte_offset"], clip["byte_size"])
        return FramesRef(file, times, labels, settings.as_video)

    def _read(self, clip: StoredClip, answer: Answer, counts: Counter[str]) -> list[Observation]:
        settings = self._settings
        seconds = clip["end"] - clip["start"]
        limits = EventLimits(seconds, settings.max_events, settings.event_chars, self._language)
        flaws: Counter[EventFlaw] = Counter()
        events = parse_events(answer.text, limits, flaws, is_cut=answer.is_cut) if answer.is_usable else None
        counts.update({f"events_{flaw}": count for flaw, count in flaws.items() if count})
        counts["events_cut"] += answer.is_cut
        if events is None or (not events and flaws.total()):
            counts["failed:events"] += 1
            return [Observation(clip["root_key"], "event", clip["start"], clip["end"], None)]
        counts["events"] += len(events)
        return [
            Observation(clip["root_key"], "event", clip["start"] + event.start, clip["start"] + event.end, event.text)
            for event in events
        ]


def smallest_clips(clips: Sequence[StoredClip]) -> list[StoredClip]:
    """Return the clips without children: they tile their roots, so that each second is watched once."""
    parents = {clip["parent_key"] for clip in clips}
    return [clip for clip in clips if clip["key"] not in parents]


def _build(settings: EventSettings, services: Mapping[str, Service]) -> EventObserver:
    assert settings.engine is not None, "an observer that is off is not built"
    return EventObserver(services[settings.engine], settings)


EVENTS: Final = ObserverKind(
    branch="events",
    summary="What happens from when to when in each short clip, told by a vision-language model.",
    settings=EventSettings,
    is_on=lambda settings: settings.engine is not None,
    build=_build,
    engine=lambda settings: settings.engine,
    prompt=lambda settings: settings.load_prompt().ref,
    pictures=lambda settings: (0, 1) if settings.as_video else (settings.max_frames, 0),
)
