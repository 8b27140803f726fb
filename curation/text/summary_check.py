"""The check of one summary against the text that it condenses and the prompt that asked for it. Pure.

A summary is kept as far as its sentences are whole, fit the limit of words, say what the text says, and are not the
words of the prompt. It ends before the first sentence that is not: a later one may refer to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from curation.prompts.answer_flaws import Flaw, flaw_of
from curation.prompts.shared_words import content_words, covers
from curation.prompts.wording import cut_to, ends_whole, split_sentences, tidy, whole_part
from runtime.text.word_units import count_words, trim_words

SummaryFlaw = Flaw | Literal["cut", "prompt", "unsupported"]
"""Why nothing of an answer is kept: no summary at all, broken off, the prompt's own words, or not in the text."""

_CHARS_PER_WORD: Final = 24  # bound on a summary's length, whatever counts as a word
_ECHOED: Final = 0.4
_ABOUT_THE_TEXT: Final = "text, texts, speech, speaker"  # a summary may name what it condenses


@dataclass(frozen=True)
class CheckedSummary:
    """The outcome for one answer."""

    text: str | None
    flaw: SummaryFlaw | None = None
    """Set if `text` is None."""
    is_trimmed: bool = False
    """True if a part of the answer was left out."""


@dataclass(frozen=True)
class SummaryLimits:
    """Limits that a summary must keep."""

    words: int
    coverage: float
    """Share of a sentence's words that the text must hold, and all numbers and names; 0: no check."""
    prompt: str
    """The instructions of the prompt, without the data."""


def check_summary(summary: str, source: str, limits: SummaryLimits, *, is_cut: bool) -> CheckedSummary:
    """Check a summary on one line.

    Args:
        summary: the answer without what chat models put around it.
        source: the text that it condenses.
        limits: what it must keep to.
        is_cut: the answer ended at its limit of tokens.
    """
    flaw = flaw_of(summary)
    own_words = flaw == "refusal" and any(flaw_of(each) == flaw for each in split_sentences(tidy(source)))
    if flaw and not own_words:
        return CheckedSummary(None, flaw)
    fitting = _fit(summary, limits.words, is_cut)
    if not fitting:
        return CheckedSummary(None, "cut")
    kept: list[str] = []
    for sentence in split_sentences(fitting):
        reason = _objection(sentence, source, limits)
        if reason and not kept:
            return CheckedSummary(None, reason)
        if reason:
            break
        kept.append(sentence)
    text = "".join(kept).strip()
    return CheckedSummary(text, is_trimmed=text != summary)


def _fit(summary: str, max_words: int, is_cut: bool) -> str:
    """Return the whole sentences that fit; the start of a sentence, marked with ``…``, if the first one is too long."""
    whole = list(_whole_sentences(summary, is_cut))
    fitting: list[str] = []
    for sentence in whole:
        if count_words("".join([*fitting, sentence])) > max_words:
            break
        fitting.append(sentence)
    if not fitting and whole:
        fitting = [whole_part(trim_words(whole[0], max_words))]
    return cut_to("".join(fitting).strip(), _CHARS_PER_WORD * max_words)


def _whole_sentences(summary: str, is_cut: bool) -> Iterator[str]:
    for sentence in split_sentences(summary):
        if not is_cut or ends_whole(sentence):
            yield sentence


def _objection(sentence: str, source: str, limits: SummaryLimits) -> SummaryFlaw | None:
    if _echoes(sentence, source, limits.prompt):
        return "prompt"
    if limits.coverage and not covers(f"{source}\n{_ABOUT_THE_TEXT}", sentence, limits.coverage):
        return "unsupported"
    return None


def _echoes(sentence: str, source: str, prompt: str) -> bool:
    """Return True if many of the words of a sentence are those of the prompt and not of the text."""
    said = content_words(sentence) - content_words(_ABOUT_THE_TEXT)
    return bool(said) and len((said & content_words(prompt)) - content_words(source)) >= _ECHOED * len(said)
