"""Rows of the rewrite stage: media and caption rows in (`clip_texts`), rows of a text layer out (`text_row`). Pure.

`curation.text.rewrite_stage` reads and writes the tables; the columns are those of `shards.schema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, cast

from curation.captions.caption_rows import CaptionRow
from curation.captions.frame_captions import FrameCaption, captions_between
from curation.filters.clip_filter import ClipFacts
from curation.filters.filter_registry import FilterSettings, reason_to_drop
from curation.media.speech.transcript import Word, words_within
from curation.text.clip_texts import ClipTexts, RewrittenTexts
from shards.keys import split_of
from shards.schema import Level, RewriteStatus


class ClipColumns(TypedDict):
    """The columns that a text layer takes over from the media table."""

    key: str
    root_key: str
    parent_key: str | None
    video_id: str
    source: str
    level: Level
    shard: int
    start: float
    end: float
    offset: float
    width: int
    height: int
    num_frames: int
    fps: float
    language: str | None
    subtitle: str
    subtitle_origin: str


class WordValue(TypedDict):
    """A word of a transcript as a table holds it; times in seconds of the video."""

    start: float
    end: float
    text: str


class MediaRow(ClipColumns):
    """One row of a media table: a clip."""

    words: list[WordValue] | None
    """Words of a root clip; null for the clips below it."""
    speech_seconds: float
    motion: float | None
    byte_offset: int
    byte_size: int


class CaptionValue(TypedDict):
    """A frame caption as a text layer holds it."""

    time: float
    text: str


class ClaimValue(TypedDict):
    """A judged claim as a text layer holds it."""

    text: str
    verdict: str
    evidence: list[str]


class ModelsValue(TypedDict):
    """The models and prompts of a row as a text layer holds them."""

    asr: str | None
    captioner: str | None
    rewriter: str | None
    prompt: str | None


class TextRow(ClipColumns):
    """One row of a text layer: a clip with all its texts."""

    subtitle_summary: str | None
    frame_captions: list[CaptionValue]
    caption: str | None
    caption_summary: str | None
    grounded_text: str | None
    rewrite_status: RewriteStatus
    claims: list[ClaimValue]
    grounding_score: float | None
    keep: bool
    filter_reason: str | None
    split: str
    models: ModelsValue


@dataclass(frozen=True)
class ModelNames:
    """Names of the models and prompts that made the texts; stored in every row."""

    captioner: str | None = None
    rewriter: str | None = None
    prompt: str | None = None
    """All prompts used, as ``name@version`` joined by ``+``."""


@dataclass(frozen=True)
class TextLayer:
    """The parts of a text row that do not come from the rewrite: filters, split and names."""

    filters: FilterSettings = field(default_factory=FilterSettings)
    val_percent: float = 1.0
    """Share of videos in the split `val`, 0 to 100."""
    models: ModelNames = field(default_factory=ModelNames)


def clip_texts(clips: Sequence[MediaRow], captions: Iterable[CaptionRow]) -> list[ClipTexts]:
    """Give each clip the words of its root and the frame captions of its span.

    Args:
        clips: rows of a media table.
        captions: rows of the captions table of the same shard.
    """
    words = {clip["root_key"]: _words(clip["words"]) for clip in clips if clip["parent_key"] is None}
    frames: dict[str, list[FrameCaption]] = {}
    for row in captions:
        not_sure = row["caption"] is None and row["confidence"] is not None
        if not not_sure:
            frames.setdefault(row["root_key"], []).append(FrameCaption(row["time"], row["caption"] or ""))
    return [_clip_texts(clip, words.get(clip["root_key"], ()), frames.get(clip["root_key"], [])) for clip in clips]


def text_row(clip: MediaRow, texts: ClipTexts, rewritten: RewrittenTexts, layer: TextLayer) -> TextRow:
    """Return one row of a text layer (`shards.schema.TEXT`).

    Args:
        clip: row of the media table.
        texts: the same clip before the rewrite.
        rewritten: the same clip after the rewrite.
        layer: filters, split and names.
    """
    reason = reason_to_drop(_facts(clip, rewritten.caption), layer.filters)
    grounded = rewritten.grounded
    return {
        **_carried(clip),
        "subtitle_summary": rewritten.subtitle_summary,
        "frame_captions": [CaptionValue(time=frame.time, text=frame.text) for frame in texts.frames],
        "caption": rewritten.caption,
        "caption_summary": rewritten.caption_summary,
        "grounded_text": grounded.text,
        "rewrite_status": grounded.status,
        "claims": [
            ClaimValue(text=verdict.text, verdict=verdict.verdict, evidence=list(verdict.evidence))
            for verdict in grounded.verdicts
        ],
        "grounding_score": grounded.score,
        "keep": reason is None,
        "filter_reason": reason,
        "split": split_of(clip["video_id"], layer.val_percent),
        "models": _models(clip["subtitle_origin"], layer.models),
    }


def _carried(clip: MediaRow) -> ClipColumns:
    values = cast(Mapping[str, object], clip)
    return cast(ClipColumns, {name: values[name] for name in ClipColumns.__annotations__})


def _models(subtitle_origin: str, names: ModelNames) -> ModelsValue:
    asr = subtitle_origin.removeprefix("asr:") if subtitle_origin.startswith("asr:") else None
    return ModelsValue(asr=asr, captioner=names.captioner, rewriter=names.rewriter, prompt=names.prompt)


def _words(values: Sequence[WordValue] | None) -> tuple[Word, ...]:
    return tuple(Word(value["start"], value["end"], value["text"]) for value in values or ())


def _clip_texts(clip: MediaRow, words: Sequence[Word], frames: Sequence[FrameCaption]) -> ClipTexts:
    own = captions_between(sorted(frames, key=lambda frame: frame.time), clip["start"], clip["end"])
    captioned = tuple(frame for frame in own if frame.text)
    spoken = words_within(words, clip["start"], clip["end"])
    return ClipTexts(clip["key"], clip["level"], clip["subtitle"], spoken, captioned, len(own) - len(captioned))


def _facts(clip: MediaRow, caption: str | None) -> ClipFacts:
    return ClipFacts(
        level=clip["level"],
        seconds=clip["end"] - clip["start"],
        language=clip["language"],
        subtitle=clip["subtitle"],
        caption=caption,
        speech_seconds=clip["speech_seconds"],
        motion=clip["motion"],
    )
