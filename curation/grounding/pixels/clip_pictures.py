"""The pictures of a clip, and the choice of those that a judge sees. Pure.

A clip has stills (the keyframes of its span) and its root's stored video. Each item of evidence knows the pictures of
its clip (`curation.grounding.evidence.Evidence.pictures`), so that a judge can look at what a claim cites.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from curation.engines.engine_interface import FramesRef, ImageRef

_SECONDS_PER_FRAME: Final = 1.5
"""Seconds of a lasting observation for which the judge gets one frame, as the captioner of events does."""
_SAME: Final = 0.002
"""Seconds by which a still may differ from the time that evidence names: both are rounded to the millisecond."""

T = TypeVar("T")
Span = tuple[float, float]
"""Start and end in seconds of the video; equal for what one still shows."""


@dataclass(frozen=True)
class Still:
    """A keyframe."""

    time: float
    """Seconds of the video."""
    image: ImageRef


@dataclass(frozen=True)
class StoredRoot:
    """The stored video of a clip's root."""

    file: ImageRef
    first_frame: float
    """Second of the source video that its first frame shows."""
    last_frame: float
    """Second of the source video that its last frame shows."""


@dataclass(frozen=True)
class ClipPictures:
    """The pictures of one clip."""

    start: float
    """Seconds of the video."""
    stills: tuple[Still, ...] = ()
    """Keyframes in the clip's span, in order of time."""
    root: StoredRoot | None = None


@dataclass(frozen=True)
class ShownPictures:
    """The pictures of a request: stills, or frames of the stored video."""

    images: tuple[ImageRef, ...] = ()
    frames: FramesRef | None = None

    @property
    def are_missing(self) -> bool:
        """True if there is nothing to look at."""
        return not self.images and self.frames is None


def pictures_of(pictures: ClipPictures, spans: Sequence[Span], most: int) -> ShownPictures:
    """Return the pictures of the spans that a claim cites, in order of time.

    Stills are shown if there is one for each time; otherwise frames of the stored video, with their times; without a
    video the nearest stills. If there are no spans, the clip's own stills are shown.

    Args:
        pictures: of the clip.
        spans: of the cited evidence.
        most: most pictures, at least 1; they are spread evenly.
    """
    times = _times(spans, most)
    if not times:
        return ShownPictures(tuple(still.image for still in _spread(pictures.stills, most)))
    cited = [_nearest(pictures.stills, time) for time in times]
    exact = [still for still, time in zip(cited, times, strict=True) if still and abs(still.time - time) <= _SAME]
    if len(exact) == len(times):
        return ShownPictures(tuple(still.image for still in exact))
    if pictures.root is not None:
        return ShownPictures(frames=_frames(pictures, pictures.root, times))
    near = dict.fromkeys(still for still in cited if still)
    return ShownPictures(tuple(still.image for still in near))


def _times(spans: Iterable[Span], most: int) -> list[float]:
    """Return at most `most` times that show all spans, increasing; spans that overlap are shown once."""
    wanted = {round(time, 3) for span in _joined(spans) for time in _middles(span)}
    return _spread(sorted(wanted), most)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Join spans that overlap; single times stay as they are."""
    joined: list[Span] = []
    lasting = sorted(span for span in spans if span[1] > span[0])
    for start, end in lasting:
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return [*joined, *(span for span in spans if span[1] <= span[0])]


def _middles(span: Span) -> list[float]:
    start, end = span
    if end <= start:
        return [start]
    count = max(2, round((end - start) / _SECONDS_PER_FRAME))
    return [start + (end - start) * (part + 0.5) / count for part in range(count)]


def _spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most `most` items, evenly spread, first and last included where there is room for both."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[len(items) // 2]]
    return [items[round(number * (len(items) - 1) / (most - 1))] for number in range(most)]


def _nearest(stills: Sequence[Still], time: float) -> Still | None:
    return min(stills, key=lambda still: abs(still.time - time), default=None)


def _frames(pictures: ClipPictures, root: StoredRoot, times: Sequence[float]) -> FramesRef:
    """Return frames of the stored video, labelled with their times in the clip."""
    within = [min(max(time, root.first_frame), root.last_frame) for time in times]
    labels = tuple(f"{max(time - pictures.start, 0.0):.1f} s:" for time in within)
    return FramesRef(root.file, tuple(time - root.first_frame for time in within), labels)
