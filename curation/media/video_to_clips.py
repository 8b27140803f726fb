"""One video from file to clips: probe, transcribe, split into sentences, encode, segment, cut.

The results are left in a scratch folder, which `curation.media.in_flight` keeps; `curation.media.shard_builder` packs
them into the shard's tars.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from curation.media.clips.clip_tree import Clip, segment, sentence_boundaries
from curation.media.clips.keyframe_choice import choose_keyframes
from curation.media.clips.root_cutting import RootFile, cut_roots
from curation.media.download.downloaded_video import DownloadedVideo, VideoMetadata
from curation.media.media_rows import MediaClipRow, RootFacts
from curation.media.media_settings import VideoSettings
from curation.media.picture.encode import encode
from curation.media.picture.encoded_video import CandidateStill, EncodedVideo
from curation.media.picture.video_records import Probe, VideoSpan
from curation.media.speech.sentences import Punctuate, split_sentences
from curation.media.speech.transcribe import transcribe
from curation.media.speech.transcript import Transcript, Word, join_words, words_within
from curation.sources.ledger import SourceFiltered
from curation.sources.source_rows import SourceRow
from runtime.ray_runner.stage import Service
from shards.keys import clip_key


@dataclass(frozen=True)
class VideoTools:
    """Settings and models that a worker uses for all videos."""

    settings: VideoSettings
    asr: Service | None = None
    """The recognizer pool; None: speech is not recognized."""
    punctuate: Punctuate | None = None
    """The punctuation model; None: punctuation is not restored."""
    encoders: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held while a video is encoded; bounds the encoders that a worker runs at a time."""


@dataclass(frozen=True)
class OpenedVideo:
    """A video on this machine with its probe, which all sources that are spans of it share."""

    download: DownloadedVideo
    probe: Probe


@dataclass(frozen=True)
class RootClip:
    """A root clip as it is packed into the shard."""

    facts: RootFacts
    mp4: Path
    keyframes: Sequence[CandidateStill]
    rows: Sequence[MediaClipRow]
    """The clips of its tree, a parent before its children; the first is the root itself."""


@dataclass(frozen=True)
class VideoClips:
    """All clips of one video."""

    seconds: float
    """Length of the span that was read."""
    roots: Sequence[RootClip]


def make_clips(row: SourceRow, video: OpenedVideo, tools: VideoTools, scratch: Path, overlap: int = 1) -> VideoClips:
    """Cut one source of a downloaded video into its clip trees.

    Args:
        row: the source.
        video: its file.
        tools: settings and models.
        scratch: folder for files on the way, and for the result.
        overlap: number of the source in the keys, see `shards.keys.ClipKey`.

    Raises:
        SourceFailed: the file is damaged.
        SourceFiltered: the video is too short, too long, in another language, or gives no clip.
    """
    settings, download = tools.settings, video.download
    span = _kept_span(row, download.path, video.probe, settings)
    transcript = transcribe(
        span,
        download.tracks,
        settings.transcribe,
        tools.asr,
        scratch,
        stated_language=download.metadata.language,
        wanted_languages=settings.languages,
    )
    _check_language(transcript, settings)
    sentences = split_sentences(transcript, settings.sentences, tools.punctuate)
    with tools.encoders:
        encoded = encode(span, sentence_boundaries(sentences), settings.encode, scratch)
    trees = segment(sentences, encoded.shots, span.start, min(span.end, encoded.end), settings.segment)
    if not trees:
        raise SourceFiltered("no_speech_no_frames", f"no clip in {span.seconds:.1f} s")
    files = cut_roots(encoded, [(tree.start, tree.end) for tree in trees], scratch)
    words = tuple(word for sentence in sentences for word in sentence.words)
    segmented = _SegmentedVideo(row, download.metadata, transcript, words, encoded, overlap)
    roots = [
        RootClip(
            segmented.root_facts(tree, file),
            file.path,
            choose_keyframes(tree, encoded.stills, settings.keyframes_per_second),
            list(segmented.clip_rows(tree, file)),
        )
        for tree, file in zip(trees, files, strict=True)
    ]
    return VideoClips(span.seconds, roots)


def _kept_span(row: SourceRow, path: Path, found: Probe, settings: VideoSettings) -> VideoSpan:
    """Return the span of the video that is kept: all of it, or the part that the source names."""
    start = max(row.start or 0.0, 0.0)
    end = min(found.duration if row.end is None else row.end, found.duration)
    seconds = end - start
    if seconds < settings.min_seconds:
        raise SourceFiltered("too_short", f"{max(seconds, 0.0):.1f} s, the minimum is {settings.min_seconds:g} s")
    if seconds > settings.max_seconds:
        raise SourceFiltered("too_long", f"{seconds:.0f} s, the maximum is {settings.max_seconds:g} s")
    return VideoSpan(path, found, start, end)


def _check_language(transcript: Transcript, settings: VideoSettings) -> None:
    wanted = settings.languages
    if wanted and transcript.language is not None and transcript.language not in wanted:
        raise SourceFiltered("language", f"the speech is {transcript.language}; languages={', '.join(wanted)}")


@dataclass(frozen=True)
class _SegmentedVideo:
    """A video after segmentation: everything that its rows are made from."""

    row: SourceRow
    metadata: VideoMetadata
    transcript: Transcript
    words: Sequence[Word]
    """The words of all sentences, with restored punctuation."""
    encoded: EncodedVideo
    overlap: int
    """Number of the source in the keys."""

    def key(self, clip: Clip) -> str:
        """Return the key of a clip of this video."""
        return clip_key(self.row.video_id, clip.start, clip.end, self.overlap)

    def root_facts(self, tree: Clip, file: RootFile) -> RootFacts:
        """Return the facts that are stored beside the root's mp4."""
        return RootFacts(
            key=self.key(tree),
            video_id=self.row.video_id,
            source=self.row.source,
            start=tree.start,
            end=tree.end,
            first_frame=file.first_frame_time,
            width=self.encoded.width,
            height=self.encoded.height,
            num_frames=file.num_frames,
            fps=self.encoded.fps,
            language=self.transcript.language,
            subtitle_origin=self.transcript.origin,
            shots=tuple(shot for shot in self.encoded.shots if tree.start < shot < tree.end),
            words=tuple((word.start, word.end, word.text) for word in words_within(self.words, tree.start, tree.end)),
            video=self.metadata,
            carried=json.loads(self.row.carried) if self.row.carried else {},
        )

    def clip_rows(self, tree: Clip, file: RootFile) -> Iterator[MediaClipRow]:
        """Yield the rows of a tree, a parent before its children."""
        root_key = self.key(tree)
        root_words = words_within(self.words, tree.start, tree.end)
        for clip, parent in _with_parents(tree):
            spoken = words_within(root_words, clip.start, clip.end)
            yield MediaClipRow(
                key=self.key(clip),
                root_key=root_key,
                parent_key=None if parent is None else self.key(parent),
                video_id=self.row.video_id,
                source=self.row.source,
                level=clip.level,
                shard=self.row.shard,
                start=clip.start,
                end=clip.end,
                offset=clip.start - file.first_frame_time,
                width=self.encoded.width,
                height=self.encoded.height,
                num_frames=file.num_frames,
                fps=self.encoded.fps,
                language=self.transcript.language,
                subtitle=join_words(spoken),
                subtitle_origin=self.transcript.origin,
                words=root_words if parent is None else None,
                speech_seconds=sum(word.end - word.start for word in spoken),
                motion=self.encoded.motion_between(clip.start, clip.end),
            )


def _with_parents(tree: Clip, parent: Clip | None = None) -> Iterator[tuple[Clip, Clip | None]]:
    """Yield every clip of a tree with its parent, a parent before its children."""
    yield tree, parent
    for child in tree.children:
        yield from _with_parents(child, tree)
