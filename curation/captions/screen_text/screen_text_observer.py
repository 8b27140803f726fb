"""The observer of on-screen text: titles, signs, labels, read in the keyframes by a text recogniser.

Burnt-in subtitles are text in the picture, too. What a text says is evidence only that the picture shows it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from pydantic import Field

from curation.captions.keyframe_names import parse_keyframe_name
from curation.captions.observation import Observation
from curation.captions.observer import ObserverKind, ShardPictures
from curation.captions.screen_text.text_recognizer import TextLine, TextRecognizer
from curation.captions.screen_text.text_sightings import ReadPicture, texts_over_time
from curation.engines.engine_interface import ImageRef
from curation.engines.request_images import UnreadableImage, load
from runtime.settings import Runtime, Settings


class ScreenTextSettings(Settings):
    """The recogniser of on-screen text."""

    model: str | None = None
    """URI of a folder with the two networks of PP-OCR; null: on-screen text is not read."""
    threshold: float = Field(default=0.9, gt=0, lt=1)
    """Lines with less confidence are left out; what is read falsely mostly has 0.5 to 0.8."""
    min_seconds: float = Field(default=0.0, ge=0)
    """Least seconds from one keyframe that is read to the next of the same root; 0: all are read."""
    max_chars: int = Field(default=200, ge=10)
    """Most characters of one text."""
    threads: Runtime[int] = Field(default=1, ge=1)
    """Threads that read one picture."""


class ScreenTextObserver:
    """Reads keyframes; a `curation.captions.observer.Observer`."""

    def __init__(self, settings: ScreenTextSettings, recognizer: TextRecognizer) -> None:
        self._settings = settings
        self._recognizer = recognizer

    async def observe(self, pictures: ShardPictures, counts: Counter[str]) -> list[Observation]:
        """Return the texts that the shard's keyframes show, by root and time."""
        observations: list[Observation] = []
        for root, names in groupby(pictures.keyframes, key=lambda name: parse_keyframe_name(name)[0]):
            chosen = {name: pictures.keyframes[name] for name in _spaced(names, self._settings.min_seconds)}
            read = await asyncio.to_thread(self._read, chosen, counts)
            observations += texts_over_time(root, read, self._settings.max_chars)
        counts["screen_texts"] += len(observations)
        return observations

    def _read(self, keyframes: Mapping[str, ImageRef], counts: Counter[str]) -> list[ReadPicture]:
        read: list[ReadPicture] = []
        for name, image in keyframes.items():
            try:
                lines = self._recognizer.lines(load(image))
            except UnreadableImage:
                counts["failed:screen_text"] += 1
                continue
            counts["keyframes_read"] += 1
            read.append(ReadPicture(parse_keyframe_name(name)[1] / 1000, self._sure(lines)))
        return read

    def _sure(self, lines: Sequence[TextLine]) -> list[TextLine]:
        return [line for line in lines if line.confidence >= self._settings.threshold]


def _spaced(names: Iterator[str], min_seconds: float) -> Iterator[str]:
    """Yield the names of one root's keyframes that are at least `min_seconds` apart, beginning with the first."""
    last: int | None = None
    for name in names:
        _, milliseconds = parse_keyframe_name(name)
        if last is None or milliseconds - last >= 1000 * min_seconds:
            last = milliseconds
            yield name


def _build(settings: ScreenTextSettings, services: object) -> ScreenTextObserver:
    assert settings.model is not None, "an observer that is off is not built"
    return ScreenTextObserver(settings, TextRecognizer(settings.model, settings.threads))


ON_SCREEN_TEXT: Final = ObserverKind(
    branch="on_screen_text",
    programs=("rapidocr", "onnxruntime"),
    summary="Text that can be read in the keyframes.",
    settings=ScreenTextSettings,
    is_on=lambda settings: settings.model is not None,
    build=_build,
    model=lambda settings: settings.model,
)
