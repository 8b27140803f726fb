"""Prompt templates: sentences that take a class name, for zero-shot classification with the text tower."""

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

_ACTIONS: Final = ("", *(f"{verb} " for verb in ("using", "doing", "during", "performing", "practicing")))

UCF101: Final = tuple(
    f"a {kind} of {article} person {action}{{}}." for action, article, kind in product(_ACTIONS, ("a", "the"), _KINDS)
)
"""The 48 templates of UCF101 in `data/prompts.md` of openai/CLIP, in its order."""

PLAIN: Final = ("a video of {}.",)
"""One sentence that fits any class; for benchmarks without templates of their own."""


def templates_of(benchmark: str) -> tuple[str, ...]:
    """Return the templates for a benchmark: CLIP's own for Kinetics and UCF101, otherwise `PLAIN`."""
    if benchmark.startswith("kinetics"):
        return KINETICS
    return UCF101 if benchmark == "ucf101" else PLAIN


def fill(name: str, templates: Sequence[str]) -> list[str]:
    """Return one sentence for each template, with the class name in place of ``{}``.

    Braces in the name are kept as they are.
    """
    return [template.replace("{}", name) for template in templates]
