"""Rows of the rewrite stage: media and caption rows in (`clip_texts`), rows of a text layer out (`TextRow`). Pure.

`curation.text.rewrite_stage` reads and writes the tables; the columns are those of `shards.schema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from curation.captions.frame_captions import FrameCaption
from curation.captions.observation import Observation, observed_between, without_repeats
from curation.media.media_rows import MediaClipRow
from curation.media.speech.transcript import Word, words_within
from curation.text.clip_texts import ClipTexts, RewrittenTexts
from shards.schema import CLIPS, TEXT, ObservationKind

_SEEN: Final = ("start", "end", "text", "confidence", "share")
CARRIED_COLUMNS: Final = tuple(name for name in TEXT.names if name in CLIPS.names)
"""Columns that a text layer takes over from the media table."""


@dataclass(frozen=True)
class ModelNames:
    """Names of the models and prompts that made the texts; stored in every row."""

    captioner: str | None = None
    rewriter: str | None = None
    prompt: str | None = None
    """All prompts used, as ``name@version`` joined by ``+``."""


@dataclass(frozen=True)
class TextRow:
    """One row of a text layer (`shards.schema.TEXT`): a clip with all its texts."""

    clip: MediaClipRow
    texts: ClipTexts
    rewritten: RewrittenTexts
    models: ModelNames

    def table_row(self) -> dict[str, Any]:
        """Return the row as Arrow takes it."""
        grounded = self.rewritten.grounded
        return {name: getattr(self.clip, name) for name in CARRIED_COLUMNS} | {
            "subtitle_summary": self.rewritten.subtitle_summary,
            "frame_captions": [asdict(frame) for frame in self.texts.frames],
            "events": [_columns(each, "start", "end", "text") for each in self._seen("event")],
            "on_screen_text": [_columns(each, *_SEEN) for each in self._seen("text")],
            "objects": [_columns(each, *_SEEN) for each in self._seen("object")],
            "caption": self.rewritten.caption,
            "caption_summary": self.rewritten.caption_summary,
            "grounded_text": grounded.text,
            "rewrite_status": grounded.status,
            "claims": [
                {
                    "text": verdict.text,
                    "verdict": verdict.verdict,
                    "evidence": list(verdict.evidence),
                    "reason": verdict.reason or None,
                    "judge": verdict.judge,
                    "score": verdict.score,
                }
                for verdict in grounded.verdicts
            ],
            "grounding_score": grounded.score,
            "models": {"asr": _recognizer(self.clip.subtitle_origin)} | asdict(self.models),
        }

    def _seen(self, kind: ObservationKind) -> list[Observation]:
        return [each for each in self.texts.observations if each.kind == kind]


def read_clip_row(values: Mapping[str, Any]) -> MediaClipRow:
    """Return a row of a media table as a typed record."""
    words = values["words"]
    own = {column.name: values[column.name] for column in fields(MediaClipRow)}
    return MediaClipRow(**own | {"words": None if words is None else tuple(Word(**word) for word in words)})


def clip_texts(clips: Sequence[MediaClipRow], observations: Iterable[Observation]) -> list[ClipTexts]:
    """Give each clip the words of its root and what was observed in its span.

    Args:
        clips: rows of a media table.
        observations: rows of a caption set of the same shard.
    """
    words = {clip.root_key: clip.words or () for clip in clips if clip.parent_key is None}
    seen: dict[str, list[Observation]] = {}
    for each in observations:
        seen.setdefault(each.root_key, []).append(each)
    return [_clip_texts(clip, words.get(clip.root_key, ()), seen.get(clip.root_key, [])) for clip in clips]


def _columns(observation: Observation, *names: str) -> dict[str, Any]:
    return {name: getattr(observation, name) for name in names}


def _recognizer(subtitle_origin: str) -> str | None:
    return subtitle_origin.removeprefix("asr:") if subtitle_origin.startswith("asr:") else None


def _clip_texts(clip: MediaClipRow, words: Sequence[Word], observations: Sequence[Observation]) -> ClipTexts:
    own = observed_between(observations, clip.start, clip.end)
    frames = tuple(FrameCaption(each.start, each.text) for each in own if each.kind == "frame" and each.text)
    seen = without_repeats(each for each in own if each.kind != "frame" and each.text)
    others = tuple(replace(each, start=max(each.start, clip.start), end=min(each.end, clip.end)) for each in seen)
    failures = sum(each.is_failure for each in own)
    spoken = words_within(words, clip.start, clip.end)
    return ClipTexts(clip.key, clip.level, clip.subtitle, spoken, frames, others, failures)
