"""What a retrieval benchmark is once its files are read: videos to embed, texts to embed, and whose each text is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from training.data.clip_tasks import MediaRef
from training.evaluation.benchmarks.annotation_files import VideoFiles


@dataclass(frozen=True)
class VideoItem:
    """One video, or one span of it, that texts ask for."""

    id: str
    """As the benchmark names it."""
    media: MediaRef | None
    """Where its bytes are; None where there is no such file."""
    start: float = 0.0
    """Seconds from the first frame of the media."""
    end: float | None = None
    """Seconds from the first frame of the media; None: to its end."""
    duration: float | None = None
    """Length in seconds where the annotations say; None: ask the file."""


@dataclass(frozen=True)
class RetrievalSet:
    """One split of a benchmark."""

    name: str
    split: str
    items: tuple[VideoItem, ...]
    texts: tuple[str, ...]
    owner: tuple[int, ...]
    """For each text the number of its item."""
    notes: tuple[str, ...] = ()
    """What a reader of the scores should know of these annotations."""

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the items without a file."""
        return tuple(number for number, item in enumerate(self.items) if item.media is None)

    def first(self, items: int) -> RetrievalSet:
        """The first `items` videos with their texts; the whole set where it has no more."""
        if items >= len(self.items):
            return self
        kept = [(text, of) for text, of in zip(self.texts, self.owner, strict=True) if of < items]
        return replace(
            self,
            items=self.items[:items],
            texts=tuple(text for text, _ in kept),
            owner=tuple(of for _, of in kept),
            notes=(*self.notes, f"only the first {items} of {len(self.items)} videos (--limit)"),
        )


def assemble(
    name: str,
    split: str,
    captions: Mapping[str, Sequence[str]],
    videos: VideoFiles,
    *,
    span: tuple[float, float | None] = (0.0, None),
    durations: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> RetrievalSet:
    """A set out of captions by video id, in their order; a video without a file keeps its place.

    Args:
        name: of the benchmark.
        split: of it.
        captions: each video's texts.
        videos: where files are looked up by id.
        span: seconds of every video that count.
        durations: length by id, as far as the annotations say.
        notes: for the report.
    """
    items = []
    for video in captions:
        path = videos.find(video)
        media = None if path is None else MediaRef(str(path))
        items.append(VideoItem(video, media, *span, (durations or {}).get(video)))
    texts = [(text, number) for number, own in enumerate(captions.values()) for text in own]
    return RetrievalSet(
        name, split, tuple(items), tuple(text for text, _ in texts), tuple(number for _, number in texts), tuple(notes)
    )
