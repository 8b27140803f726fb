"""The caption in a model's answer: one line without what chat models put around it. Pure."""

from __future__ import annotations

import re
from typing import Final

from curation.prompts.answer_flaws import flaw_of, sound_part
from curation.prompts.model_answers import spoken_answer, without_markup
from curation.prompts.model_json import answer_object
from curation.prompts.wording import cut_to, tidy, unquoted, whole_part

_NAMES: Final = r"(?:caption|description|sentence|answer|image|picture|photo|frame|scene|instruction)s?"
_LABEL: Final = re.compile(
    rf"""(?:(?:sure|certainly|of\ course|okay|ok)\b[^:]{{0,120}}:(?!\d)
    |(?:here|based\ on)\b[^:]{{0,80}}\b{_NAMES}\b[^:]{{0,60}}:
    |(?:the\ |final\ |image\ |picture\ |frame\ |short\ )*(?:caption|answer|description|assistant|response|output)\s*:
    |(?:描述|标题|標題|字幕|回答|答案|キャプション|説明|설명|캡션)\s*[:：]
    |(?:Beschreibung|Bildunterschrift|Descripción|Légende|Descrizione|Legenda|Описание)\s*:
    )\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_HEADING: Final = re.compile(r"[#*\s]*(?:caption|description|answer|response)[*:\s]*\n", re.IGNORECASE)
_FIELDS: Final = ("caption", "description", "text", "answer")


def caption_line(text: str) -> str:
    """Return an answer on one line: without thoughts, special tokens, labels, markup and quotation marks."""
    spoken = _HEADING.sub("", spoken_answer(text))
    line = tidy(without_markup(_json_caption(spoken) or spoken))
    while label := _LABEL.match(line):
        line = line[label.end() :]
    return tidy(unquoted(line))


def clean_caption(text: str, max_chars: int, *, is_cut: bool = False) -> str | None:
    """Return the caption in an answer in at most `max_chars`; None if the answer is no caption.

    Args:
        text: the answer.
        max_chars: longer captions are cut after a sentence, or at a clause or word and marked with ``…``.
        is_cut: the answer ended at its limit of tokens: what follows its last whole sentence is left out.
    """
    line = caption_line(text)
    if flaw_of(line):
        return None
    return cut_to(sound_part(whole_part(line) if is_cut else line), max_chars) or None


def _json_caption(text: str) -> str | None:
    """Return the caption of an answer that is a JSON object though none was asked for."""
    if not text.strip("`json \n").startswith("{"):
        return None
    values = answer_object(text, lambda found: any(isinstance(found.get(name), str) for name in _FIELDS)) or {}
    return next((value for name in _FIELDS if isinstance(value := values.get(name), str)), None)
