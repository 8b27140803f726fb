"""The page of `training.vidlankd.grounding.word_grounding`: one HTML file that holds its pictures and fetches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from training.vidlankd.grounding.clip_gallery import Clip

_TEMPLATE = "grounding_page.html.jinja"


@dataclass(frozen=True)
class Hit:
    """A clip that a word found."""

    clip: Clip
    score: float
    """Cosine, -1 to 1."""
    picture: str | None
    """`data:` URL of a still; None where there is none."""


@dataclass(frozen=True)
class Word:
    """A word with what each model found for it, nearest first."""

    text: str
    hits: Sequence[Sequence[Hit]]
    """By model, in the order of the page's."""


@dataclass(frozen=True)
class Grounded:
    """One sentence."""

    sentence: str
    words: Sequence[Word]


@dataclass(frozen=True)
class Page:
    """All that is shown."""

    sentences: Sequence[Grounded]
    models: Sequence[str]
    """Names of the models, in the order of their hits."""
    facts: Sequence[str]
    """What stands below the title."""


def render(page: Page) -> str:
    """The page as HTML; whatever comes from sentences and shards is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["clock"] = clock
    source = Path(__file__).with_name(_TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(page=page)


def clock(seconds: float) -> str:
    """A time of a video: ``1:02:03`` or ``2:03``."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
