"""Rows of the text half's tables, in and out: what the rewrite is given of a clip, what is stored of it. Pure.

`curation.text.text_stages` reads and writes the tables; the columns are those of `shards.schema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.engines.engine_interface import Seen
from curation.filters.clip_filters import ClipFacts, FilterSettings, reason_to_drop
from curation.grounding.evidence import Frame, within_span
from curation.media.speech.transcript import Word, within
from curation.text.rewriter import ClipTexts, Rewritten
from shards.keys import split_of
from shards.schema import CLIPS, TEXT

_CARRIED = tuple(name for name in TEXT.names if name in CLIPS.names)


@dataclass(frozen=True)
class ModelNames:
    """What is written into every row about how its texts were made."""

    captioner: str | None = None
    rewriter: str | None = None
    prompt: str | None = None
    """All prompts used, as ``name@version`` joined by ``+``."""


@dataclass(frozen=True)
class Layer:
    """What a row of a text layer needs beside the rewrite itself."""

    filters: FilterSettings = field(default_factory=FilterSettings)
    val_percent: float = 1.0
    """Share of videos in the split `val`, 0 to 100."""
    models: ModelNames = field(default_factory=ModelNames)


def keyframe_place(member: str) -> tuple[str, int]:
    """Root and time of a keyframe by the name of its member, ``<root_key>.<ms>.jpg``."""
    root, _, rest = member.partition(".")
    milliseconds = rest.removesuffix(".jpg")
    return root, int(milliseconds) if milliseconds.isdecimal() else 0


def caption_row(member: str, seen: Seen) -> dict[str, Any]:
    """One row of a caption set (`shards.schema.CAPTIONS`) for the keyframe named `member`.

    No caption but a confidence: the captioner looked and is in doubt. Neither: it failed.
    """
    root, milliseconds = keyframe_place(member)
    return {
        "root_key": root,
        "time": milliseconds / 1000,
        "caption": seen.caption,
        "confidence": seen.confidence,
    }


def clip_texts(clips: Sequence[Mapping[str, Any]], captions: Iterable[Mapping[str, Any]]) -> list[ClipTexts]:
    """Give each clip the words of its root and the frame captions that fall into it.

    Args:
        clips: rows of a media table.
        captions: rows of the captions table of the same shard.
    """
    words = {clip["root_key"]: _words(clip["words"]) for clip in clips if clip["parent_key"] is None}
    frames: dict[str, list[Frame]] = {}
    for row in captions:
        in_doubt = row["caption"] is None and row["confidence"] is not None
        if not in_doubt:
            frames.setdefault(row["root_key"], []).append(Frame(row["time"], row["caption"] or ""))
    return [_clip_texts(clip, words.get(clip["root_key"], ()), frames.get(clip["root_key"], [])) for clip in clips]


def text_row(clip: Mapping[str, Any], texts: ClipTexts, rewritten: Rewritten, layer: Layer) -> dict[str, Any]:
    """One row of a text layer (`shards.schema.TEXT`).

    Args:
        clip: row of the media table.
        texts: the same clip before the rewrite.
        rewritten: what the rewrite made of it.
        layer: filters, split and names.
    """
    reason = reason_to_drop(_facts(clip, rewritten.caption), layer.filters)
    grounded = rewritten.grounded
    asr = clip["subtitle_origin"].removeprefix("asr:") if clip["subtitle_origin"].startswith("asr:") else None
    return {name: clip[name] for name in _CARRIED} | {
        "subtitle_summary": rewritten.subtitle_summary,
        "frame_captions": [{"time": frame.time, "text": frame.caption} for frame in texts.frames],
        "caption": rewritten.caption,
        "caption_summary": rewritten.caption_summary,
        "grounded_text": grounded.text,
        "rewrite_status": grounded.status,
        "claims": [
            {"text": verdict.text, "verdict": verdict.verdict, "evidence": list(verdict.evidence)}
            for verdict in grounded.verdicts
        ],
        "grounding_score": grounded.score,
        "keep": reason is None,
        "filter_reason": reason,
        "split": split_of(clip["video_id"], layer.val_percent),
        "models": {
            "asr": asr,
            "captioner": layer.models.captioner,
            "rewriter": layer.models.rewriter,
            "prompt": layer.models.prompt,
        },
    }


def _words(values: Sequence[Mapping[str, Any]] | None) -> tuple[Word, ...]:
    return tuple(Word(value["start"], value["end"], value["text"]) for value in values or ())


def _clip_texts(clip: Mapping[str, Any], words: Sequence[Word], frames: Sequence[Frame]) -> ClipTexts:
    mine = within_span(sorted(frames, key=lambda frame: frame.time), clip["start"], clip["end"])
    said = tuple(frame for frame in mine if frame.caption)
    spoken = within(words, clip["start"], clip["end"])
    return ClipTexts(clip["key"], clip["level"], clip["subtitle"], spoken, said, len(mine) - len(said))


def _facts(clip: Mapping[str, Any], caption: str | None) -> ClipFacts:
    return ClipFacts(
        level=clip["level"],
        seconds=clip["end"] - clip["start"],
        language=clip["language"],
        subtitle=clip["subtitle"],
        caption=caption,
        speech_seconds=clip["speech_seconds"],
        motion=clip["motion"],
    )
