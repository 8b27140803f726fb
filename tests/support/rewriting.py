"""Clips, and their rewrite by a fake model: shared by the tests of the rewriter, of summaries and of grounded text."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from support.answering import Answering, asks_for_claims, claims_json

from curation.captions.frame_captions import FrameCaption
from curation.engines.engine_interface import Request
from curation.media.speech.transcript import Word
from curation.text.clip_texts import ClipTexts, RewrittenTexts
from curation.text.rewrite_settings import RewriteSettings
from curation.text.rewriter import Rewriter
from shards.schema import Level

WITH_LLM: Final = RewriteSettings(engine="llm")


def clip(
    key: str = "c0",
    level: Level = "medium",
    subtitle: str = "now we chop the onions",
    captions: Sequence[str] = ("a man chops onions",),
) -> ClipTexts:
    """Return a clip with one word a second and one keyframe every ten seconds."""
    words = tuple(Word(i * 1.0, i + 0.8, text) for i, text in enumerate(subtitle.split()))
    frames = tuple(FrameCaption(2.0 + 10 * i, text) for i, text in enumerate(captions))
    return ClipTexts(key, level, subtitle, words, frames)


def rewrite(
    model: Answering | None, clips: Sequence[ClipTexts], settings: RewriteSettings = WITH_LLM
) -> tuple[list[RewrittenTexts], Counter[str]]:
    """Rewrite clips and return the results with their counts."""
    engines = {name: model.service for name in [settings.engine] if model and name}
    return asyncio.run(Rewriter(engines, settings).rewrite(clips))


def repeat_input(request: Request) -> str:
    """Answer like a well-behaved model: repeat the text to summarise, or state the default caption."""
    if request.options:
        return "yes and no"  # no decision
    if asks_for_claims(request):
        return claims_json(("A man chops onions", ["F1"]))
    return request.user.split("<text>")[1].split("</text>")[0]
