"""A retrieval benchmark, and one split of it once its files are read: videos, texts, and the video of each text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.annotation_files import PublishedFiles, VideoFiles
from training.data.clip_tasks import MediaRef


@dataclass(frozen=True)
class VideoItem:
    """One video of a benchmark, or a span of one."""

    id: str
    """Id in the benchmark."""
    media: MediaRef | None
    """Address of its bytes; None if there is no such file."""
    start: float = 0.0
    """Seconds from the first frame of the media."""
    end: float | None = None
    """Seconds from the first frame of the media; None: the end of the file."""
    duration: float | None = None
    """Length in seconds if the annotations state it; None: read it from the file."""


@dataclass(frozen=True)
class RetrievalSet:
    """One split of a benchmark."""

    name: str
    split: str
    items: tuple[VideoItem, ...]
    texts: tuple[str, ...]
    owner: tuple[int, ...]
    """For each text the index of its video."""
    notes: tuple[str, ...] = ()
    """Remarks on these annotations for the report."""

    @property
    def missing(self) -> tuple[int, ...]:
        """Indices of the videos without a file."""
        return tuple(number for number, item in enumerate(self.items) if item.media is None)

    def part(self, items: Sequence[int], split: str) -> RetrievalSet:
        """Return some of the videos with their texts, as a split of another name.

        Args:
            items: indices of the videos, increasing.
            split: name of the split.
        """
        number = {item: at for at, item in enumerate(items)}
        kept = [(text, number[of]) for text, of in zip(self.texts, self.owner, strict=True) if of in number]
        return replace(
            self,
            split=split,
            items=tuple(self.items[item] for item in items),
            texts=tuple(text for text, _ in kept),
            owner=tuple(of for _, of in kept),
        )

    def first(self, items: int) -> RetrievalSet:
        """Return the first `items` videos with their texts, or the whole set if it has no more."""
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


@dataclass(frozen=True)
class RetrievalBenchmark:
    """All that the registry, the report and the guide need to know of a benchmark."""

    name: str
    """Value of `--benchmark`."""
    splits: tuple[str, ...]
    """Names of the splits; the first is the test split of the published scores."""
    files: Mapping[str, PublishedFiles]
    """Published annotation files of each split."""
    size: tuple[int, int]
    """Number of videos and of texts in the published test split."""
    read: Callable[[Path, VideoFiles, str], RetrievalSet]
    """Reader of one split, from annotations and videos; raises `UserError`."""
    distinct_texts: int | None = None
    """Number of distinct texts in the published test split; None: all of them."""
    caveat: str | None = None
    """Reason not to compare some of the published scores."""


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
    """Build a set from captions by video id, in their order; a video without a file keeps its index.

    Args:
        name: name of the benchmark.
        split: name of the split.
        captions: texts of each video.
        videos: the files, looked up by id.
        span: seconds of every video that are used.
        durations: lengths by id, as far as the annotations state them.
        notes: remarks for the report.
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
