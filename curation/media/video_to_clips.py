"""One video from file to clips: probe, transcribe, encode, segment, cut. Reads top to bottom as DESIGN's media box.

Everything is left in a scratch folder; the stage (`curation.media.media_stage`) packs it into the shard's tars.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curation.media.clips.clip_tree import Clip, SegmentSettings, segment, sentence_boundaries
from curation.media.clips.keyframe_choice import Still, choose_keyframes
from curation.media.clips.root_cutting import Root, cut_roots
from curation.media.download.downloader import Download
from curation.media.picture.encode import Encoded, encode
from curation.media.picture.encode_settings import EncodeSettings
from curation.media.picture.probe import Probe, probe
from curation.media.speech.sentences import SentenceSettings, sentences
from curation.media.speech.transcribe import TranscribeSettings, transcribe
from curation.media.speech.transcript import Transcript, Word, joined, within
from curation.sources.ledger import SourceFiltered
from curation.sources.source_rows import SourceRow
from runtime.ray_runner.stage import Service
from runtime.settings import Settings
from shards.keys import clip_key

Punctuate = Callable[[Sequence[str]], list[str]]


class VideoSettings(Settings):
    """What is made of one video."""

    min_seconds: float = 3.0
    """Videos (or spans) shorter than this are `too_short`."""
    max_seconds: float = 4 * 3600.0
    """Videos (or spans) longer than this are `too_long`."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of speech to keep, others are filtered as `language`; empty: all."""
    keyframes_per_second: float = 0.1
    """Stills for the captioner a second of video; each short clip has one at least."""
    transcribe: TranscribeSettings = TranscribeSettings()
    """Where words come from."""
    sentences: SentenceSettings = SentenceSettings()
    """How words become sentences."""
    encode: EncodeSettings = EncodeSettings()
    """The stored video."""
    segment: SegmentSettings = SegmentSettings()
    """The clip tree."""


@dataclass(frozen=True)
class Tools:
    """What the worker holds for all videos."""

    settings: VideoSettings
    asr: Service | None = None
    punctuate: Punctuate | None = None


@dataclass(frozen=True)
class RootClip:
    """A root clip as it goes into the shard: its mp4, its facts, its keyframes, the rows of its tree."""

    key: str
    mp4: Path
    facts: Mapping[str, Any]
    keyframes: Sequence[Still]
    rows: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class VideoClips:
    """All that one video gives."""

    seconds: float
    roots: Sequence[RootClip]


def make_clips(row: SourceRow, download: Download, tools: Tools, scratch: Path) -> VideoClips:
    """Cut one downloaded video into its clip trees.

    Raises:
        SourceFailed: the file is no video, or broken.
        SourceFiltered: too short, too long, another language, nothing in it.
    """
    settings = tools.settings
    found = probe(download.path)
    start, end = _span(row, found, settings)
    transcript = transcribe(
        download.path, found, download.tracks, (start, end), settings.transcribe, tools.asr, scratch
    )
    _check_language(transcript, settings)
    spoken = sentences(transcript, settings.sentences, tools.punctuate)
    encoded = encode(download.path, found, start, end, sentence_boundaries(spoken), settings.encode, scratch)
    trees = segment(spoken, encoded.shots, start, min(end, encoded.end), settings.segment)
    if not trees:
        raise SourceFiltered("no_speech_no_frames", f"nothing to keep in {end - start:.1f} s")
    files = cut_roots(encoded, [(tree.start, tree.end) for tree in trees], scratch)
    words = tuple(word for sentence in spoken for word in sentence.words)
    roots = [
        _root_clip(row, download, tree, file, encoded, transcript, words, settings)
        for tree, file in zip(trees, files, strict=True)
    ]
    return VideoClips(end - start, roots)


def _span(row: SourceRow, found: Probe, settings: VideoSettings) -> tuple[float, float]:
    """The part of the video that is kept, in seconds."""
    start = max(row.start or 0.0, 0.0)
    end = min(found.duration if row.end is None else row.end, found.duration)
    seconds = end - start
    if seconds < settings.min_seconds:
        raise SourceFiltered("too_short", f"{max(seconds, 0.0):.1f} s, at least {settings.min_seconds:g} s are wanted")
    if seconds > settings.max_seconds:
        raise SourceFiltered("too_long", f"{seconds:.0f} s, at most {settings.max_seconds:g} s are wanted")
    return start, end


def _check_language(transcript: Transcript, settings: VideoSettings) -> None:
    wanted = settings.languages
    if wanted and transcript.language is not None and transcript.language not in wanted:
        raise SourceFiltered("language", f"speech is {transcript.language}, wanted: {', '.join(wanted)}")


def _root_clip(
    row: SourceRow,
    download: Download,
    tree: Clip,
    file: Root,
    encoded: Encoded,
    transcript: Transcript,
    words: Sequence[Word],
    settings: VideoSettings,
) -> RootClip:
    key = clip_key(row.video_id, tree.start, tree.end)
    stored = {
        "width": encoded.width,
        "height": encoded.height,
        "num_frames": file.num_frames,
        "fps": encoded.fps,
    }
    spoken = within(words, tree.start, tree.end)
    shared = {
        "root_key": key,
        "video_id": row.video_id,
        "source": row.source,
        "shard": row.shard,
        "language": transcript.language,
        "subtitle_origin": transcript.origin,
        **stored,
    }
    rows = [
        shared | _clip_row(clip, parent, row.video_id, file, spoken, encoded) for clip, parent in _with_parents(tree)
    ]
    rows[0]["words"] = [asdict(word) for word in spoken]
    facts = {
        "key": key,
        "video_id": row.video_id,
        "source": row.source,
        "start": tree.start,
        "end": tree.end,
        "first_frame": file.first_frame_time,
        **stored,
        "language": transcript.language,
        "subtitle_origin": transcript.origin,
        "words": [[word.start, word.end, word.text] for word in spoken],
        "video": asdict(download.metadata),
        "carried": json.loads(row.carried) if row.carried else {},
    }
    keyframes = choose_keyframes(tree, encoded.stills, settings.keyframes_per_second)
    return RootClip(key, file.path, facts, keyframes, rows)


def _clip_row(
    clip: Clip, parent: Clip | None, video_id: str, file: Root, words: Sequence[Word], encoded: Encoded
) -> dict[str, Any]:
    spoken = within(words, clip.start, clip.end)
    return {
        "key": clip_key(video_id, clip.start, clip.end),
        "parent_key": None if parent is None else clip_key(video_id, parent.start, parent.end),
        "level": clip.level,
        "start": clip.start,
        "end": clip.end,
        "offset": clip.start - file.first_frame_time,
        "subtitle": joined(spoken),
        "words": None,
        "speech_seconds": sum(word.end - word.start for word in spoken),
        "motion": encoded.motion_between(clip.start, clip.end),
    }


def _with_parents(tree: Clip, parent: Clip | None = None) -> Iterator[tuple[Clip, Clip | None]]:
    """Every clip of a tree with its parent, a parent before its children."""
    yield tree, parent
    for child in tree.children:
        yield from _with_parents(child, tree)
