"""Records that describe a video file: its streams, what probing it found, and the span of it that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curation.media.picture.interlacing import Fields
from runtime.picture.colour import Colour
from runtime.picture.orientation import Orientation


@dataclass(frozen=True)
class VideoStream:
    """The video stream that is used."""

    index: int
    codec: str
    width: int
    """Stored pixels, before the picture is turned."""
    height: int
    """Stored pixels, before the picture is turned."""
    orientation: Orientation
    """Orientation in which a player shows the picture."""
    fps: float
    """Average frames a second; 0 if the container does not state it."""
    variable_rate: bool
    """True if the first frames are not evenly spaced."""
    frames: int | None
    """Number of frames, if the container states it."""
    duration: float | None
    """Second of the video at which the picture ends, if the container states it."""
    sar: float
    """Sample aspect ratio, pixel width divided by pixel height; 1 if not stated."""
    colour: Colour
    """Colour of its samples."""
    fields: Fields
    """Interlacing of its frames."""

    @property
    def display_size(self) -> tuple[float, float]:
        """Width and height as a player shows them: square pixels, turned."""
        width, height = self.width * self.sar, float(self.height)
        return (height, width) if self.orientation.transposed else (width, height)


@dataclass(frozen=True)
class AudioStream:
    """An audio stream in the container."""

    index: int
    codec: str
    language: str | None
    rate: int
    """Samples a second."""
    channels: int
    layout: str = ""
    """Name of the channel layout: ``stereo``, ``5.1``, ``ambisonic 1``; ``6 channels`` if the order is unknown."""
    marks: frozenset[str] = frozenset()
    """The stated purposes of the stream: ``default``, ``original``, ``dub``, ``comment``, …"""
    title: str = ""


@dataclass(frozen=True)
class SubtitleStream:
    """A subtitle stream in the container."""

    index: int
    codec: str
    language: str | None
    marks: frozenset[str] = frozenset()
    """The stated purposes of the stream: ``default``, ``forced``, ``hearing_impaired``, ``comment``, …"""
    title: str = ""


@dataclass(frozen=True)
class Probe:
    """The contents of a video file. Second 0 of the video is the container's `start_time`."""

    duration: float
    """Seconds from `start_time` to the end of the longest stream."""
    start_time: float
    """The earliest time stamp in seconds; libavformat's start time."""
    format: str
    """Name of the demuxer, as ``ffmpeg -f`` takes it."""
    video: VideoStream
    audio: tuple[AudioStream, ...] = ()
    subtitles: tuple[SubtitleStream, ...] = ()
    faults: tuple[str, ...] = ()
    """Faults in the time stamps that were read: ``no_duration``, ``missing``, ``negative``, ``backwards``, ``jump``.
    A video with any of them can still be used."""


@dataclass(frozen=True)
class VideoSpan:
    """The span ``[start, end)`` of a video file, in seconds of the video."""

    path: Path
    probe: Probe
    """The result of `curation.media.picture.probe.probe`."""
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Length of the span."""
        return self.end - self.start
