"""A finished part: the clips and the outcome of one source of a shard that is not committed yet.

A shard is packed from the parts of its sources. A worker that takes over the shard of a killed one takes the parts that
are there, and makes only the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from curation.media.in_flight.recorded_folder import MadeFrom, read_folder
from curation.media.media_rows import SourceOutcome
from curation.media.video_to_clips import RootClip, VideoClips
from shards.schema import FailedClass

_LASTING: Final[frozenset[FailedClass]] = frozenset({"private", "removed", "geo_blocked", "not_video", "corrupt"})
"""Classes of failures that a second attempt soon would repeat."""


@dataclass(frozen=True)
class FinishedPart:
    """The result of one source."""

    outcome: SourceOutcome
    elapsed: float
    """Wall seconds spent on the source."""
    video: VideoClips | None = None
    """Its clips; None if it was filtered or has failed."""

    @property
    def is_lasting(self) -> bool:
        """True if another attempt would end the same way, so that the part is worth keeping."""
        return self.outcome.state in ("written", "filtered") or self.outcome.class_ in _LASTING


_PART: Final = TypeAdapter(FinishedPart)


def read_part(folder: Path, made_from: MadeFrom) -> FinishedPart | None:
    """Return a part that was kept; None if there is none that was made from the same source."""
    part = read_folder(folder, _PART, made_from)
    if part is None or part.video is None:
        return part
    roots = [_placed(root, folder) for root in part.video.roots]
    return replace(part, video=replace(part.video, roots=roots))


def _placed(root: RootClip, folder: Path) -> RootClip:
    """Return a root with the paths of its files."""
    stills = [replace(still, path=folder / still.path) for still in root.keyframes]
    return replace(root, mp4=folder / root.mp4, keyframes=stills)
