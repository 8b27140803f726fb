"""The grounding page: one HTML file that embeds its pictures and loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from training.vidlankd.grounding.clip_gallery import GalleryClip

_TEMPLATE = "grounding_page.html.jinja"


@dataclass(frozen=True)
class Hit:
    """A clip of the gallery that matches a word."""

    clip: GalleryClip
    score: float
    """Cosine similarity, -1 to 1."""
    picture: str | None
    """`data:` URL of a still; None if there is no readable one."""


@dataclass(frozen=True)
class QueryWord:
    """A word with the nearest clips for each model."""

    text: str
    hits: Sequence[Sequence[Hit]]
    """For each model of the page, the clips, nearest first."""


@dataclass(frozen=True)
class SentenceGrounding:
    """A sentence with its words."""

    sentence: str
    words: Sequence[QueryWord]


@dataclass(frozen=True)
class GroundingPage:
    """Content of the page."""

    sentences: Sequence[SentenceGrounding]
    models: Sequence[str]
    """Names of the models, in the order of each word's hits."""
    facts: Sequence[str]
    """Facts shown below the title."""


def render(page: GroundingPage) -> str:
    """Render the page as HTML; texts from sentences and shards are escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["clock"] = clock
    source = Path(__file__).with_name(_TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(page=page)


def clock(seconds: float) -> str:
    """Format a time of a video: ``1:02:03`` or ``2:03``."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
