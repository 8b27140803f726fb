"""Summaries of a clip's speech and of its frame captions: the requests, and the check of the answers.

`curation.text.summary_check` decides what of an answer is kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from curation.captions.frame_captions import join_captions
from curation.engines.engine_interface import Answer, Request
from curation.prompts.model_answers import spoken_answer, without_markup
from curation.prompts.prompt_templates import Prompt
from curation.prompts.wording import middle_out, tidy, unquoted
from curation.text.clip_texts import ClipTexts
from curation.text.rewrite_settings import RewriteSettings
from curation.text.summary_check import SummaryLimits, check_summary
from runtime.text.word_units import count_words
from shards.schema import Level

_PREAMBLE: Final = re.compile(
    r"(?:(?:sure|certainly|of course|okay|here(?:'s|’s| is| are))\b[^:\n]{0,160}:|(?:summary|answer)\s*:)\s*",
    re.IGNORECASE,
)


class Summarizer:
    """Asks for summaries and reads them."""

    def __init__(self, prompt: Prompt, settings: RewriteSettings) -> None:
        self._prompt = prompt
        self._settings = settings
        instructions = f"{prompt.system}\n{prompt.user}"
        self._limits = SummaryLimits(settings.summary_words, settings.summary_coverage, instructions)

    def requests(self, clip: ClipTexts, counts: Counter[str]) -> Iterator[Request]:
        """Yield the requests for one clip; none for an empty text, or one that is its own summary."""
        for name, text in _sources(clip).items():
            if tidy(text) and self._needs_summary(text, clip.level):
                yield self._request(f"{clip.key}/{name}", text, counts)

    def subtitle_summary(self, clip: ClipTexts, answers: Mapping[str, Answer], counts: Counter[str]) -> str | None:
        """Return the summary of the subtitle; see `_read`."""
        return self._read(clip, "subtitle_summary", answers, counts)

    def caption_summary(self, clip: ClipTexts, answers: Mapping[str, Answer], counts: Counter[str]) -> str | None:
        """Return the summary of the frame captions; see `_read`."""
        return self._read(clip, "caption_summary", answers, counts)

    def _needs_summary(self, text: str, level: Level) -> bool:
        settings = self._settings
        return level in settings.summarize_levels and count_words(text) > settings.summarize_over_words

    def _request(self, key: str, text: str, counts: Counter[str]) -> Request:
        settings = self._settings
        shown = middle_out(text, settings.input_chars)
        counts["inputs_truncated"] += shown != text
        system, user = self._prompt.render(text=shown, max_words=settings.summary_words)
        return Request(key, system, user, max_tokens=settings.summary_tokens)

    def _read(self, clip: ClipTexts, name: str, answers: Mapping[str, Answer], counts: Counter[str]) -> str | None:
        """Return the summary to store: the text itself if none was requested, None without a usable answer."""
        text = _sources(clip)[name]
        if not tidy(text):
            return None
        if not self._needs_summary(text, clip.level):
            return text
        answer = answers.get(f"{clip.key}/{name}")
        return None if answer is None else self._check(text, answer, counts)

    def _check(self, text: str, answer: Answer, counts: Counter[str]) -> str | None:
        """Return what is kept of the summary of `text` (see `check_summary`), and count what is not."""
        summary = clean_summary(answer.text) if answer.is_usable else ""
        checked = check_summary(summary, text, self._limits, is_cut=answer.is_cut)
        counts["summaries_trimmed"] += checked.is_trimmed
        if checked.flaw:
            counts[f"summaries_{checked.flaw}"] += 1
            counts["failed:summary"] += checked.flaw != "unsupported"
        return checked.text


def clean_summary(text: str) -> str:
    """Return the first line of what an answer says, without ``Sure! Here is …:`` and quotation marks."""
    rest = without_markup(spoken_answer(text)).strip()
    while match := _PREAMBLE.match(rest):
        rest = rest[match.end() :]
    return unquoted(tidy(next((line for line in rest.splitlines() if line.strip()), "")))


def _sources(clip: ClipTexts) -> dict[str, str]:
    """Return the text that each summary condenses, by the name of the summary."""
    return {"subtitle_summary": clip.subtitle, "caption_summary": join_captions(clip.frames) or ""}
