"""The family of a model, as far as its name tells: a judge should not share the writer's blind spots. Pure."""

from __future__ import annotations

import re
from typing import Final

_FAMILIES: Final = (
    "qwen", "qwq", "qvq", "gemma", "molmo", "olmo", "internvl", "internlm", "llava", "llama", "mixtral", "ministral",
    "mistral", "pixtral", "smolvlm", "smollm", "idefics", "deepseek", "minicpm", "phi", "glm", "kimi", "nemotron",
    "granite", "aya", "gpt", "claude", "gemini", "blip",
)  # fmt: skip
_KIN: Final = {
    "qwq": "qwen", "qvq": "qwen", "olmo": "molmo", "mixtral": "mistral", "ministral": "mistral", "pixtral": "mistral",
    "smollm": "smolvlm", "internlm": "internvl",
}  # fmt: skip
"""Families by another name: the same makers, and for the most part the same data."""
_LETTERS: Final = re.compile(r"[a-z]+")


def model_family(name: str) -> str:
    """Return the family of a model by its name, such as ``qwen``; its first letters if no known family is in it.

    The first known family counts: ``DeepSeek-R1-Distill-Qwen-7B`` is DeepSeek's.

    Args:
        name: with or without an organisation, ``Qwen/Qwen3-VL-8B-Instruct``.
    """
    own = name.casefold().rpartition("/")[2]
    found = [(own.index(family), -len(family), family) for family in _FAMILIES if family in own]
    if found:
        family = min(found)[2]
        return _KIN.get(family, family)
    letters = _LETTERS.search(own)
    return letters[0] if letters else own
