"""A card as one HTML file: plots inside, stills as ``data:`` URLs, and nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import count as numbers_from
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from curation.grounding.audit.label_pictures import PagePicture
from curation.reporting.spoken_numbers import clock, duration
from curation.view.card.card_facts import CardFacts
from curation.view.card.plots.card_plots import drawn
from curation.view.card.sections.all_sections import all_sections
from curation.view.card.sections.section import count, shortened
from runtime.terminal import visible
from shards.card_files import MARK

_ROOM: Final = "curation.view.card"


def report_html(facts: CardFacts, pictures: Mapping[str, Sequence[PagePicture]], title: str | None = None) -> str:
    """Return the report of a card.

    Args:
        facts: of the card.
        pictures: of the sampled clips, by key.
        title: name for people; None: that of the DIR.
    """
    numbers = numbers_from(1)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            facts=facts,
            title=title or facts.name,
            sections=all_sections(facts),
            pictures=pictures,
            supported=sum(each.claims for each in facts.verdicts if each.verdict == "supported"),
            plot=lambda each: drawn(each, next(numbers)),
            mark=MARK,
            style=Markup(files(_ROOM).joinpath("templates/report.css").read_text("utf-8")),  # noqa: S704  our own file
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(_ROOM, "templates"),
        finalize=lambda value: visible(value) if type(value) is str else value,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(clock=clock, duration=duration, count=count, shortened=shortened)
    return environment
