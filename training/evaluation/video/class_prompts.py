"""Sentences that a class name is put into before the text tower reads it, for zero-shot classification."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Final

_KINDS: Final = ("photo", "video", "example", "demonstration")
_FORMS: Final = (
    "",
    "a person ",
    *(f"a person {verb} " for verb in ("using", "doing", "during", "performing", "practicing")),
)

KINETICS: Final = tuple(f"a {kind} of {form}{{}}." for kind, form in product(_KINDS, _FORMS))
"""The 28 templates of Kinetics700 in `data/prompts.md` of openai/CLIP, in its order ("a example" is theirs)."""

PLAIN: Final = ("a video of {}.",)
"""One sentence that fits any class; for sets without templates of their own."""


def templates_of(benchmark: str) -> tuple[str, ...]:
    """The templates used for a benchmark: those of Kinetics, else the plain one."""
    return KINETICS if benchmark.startswith("kinetics") else PLAIN


def fill(name: str, templates: Sequence[str]) -> list[str]:
    """One sentence a template, with the class name in the place of ``{}``.

    The name is put in as it stands: braces in it mean nothing.
    """
    return [template.replace("{}", name) for template in templates]
