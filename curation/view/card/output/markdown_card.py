"""A card as Markdown with the hub's YAML head. Every foreign text is escaped: it is neither markup nor a link."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from curation.view.card.card_facts import CardFacts
from curation.view.card.output.hub_head import DataConfig, hub_head
from curation.view.card.sections.all_sections import all_sections
from curation.view.card.sections.section import shortened
from runtime.terminal import on_one_line
from shards.card_files import MARK

_PUNCTUATION: Final = re.compile(r"([\\`*_{}\[\]#~|!$@^]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
"""Characters that can begin markup in the middle of a line, and those by which bare addresses become links."""


def card_markdown(
    facts: CardFacts, configs: Sequence[DataConfig], title: str | None = None, *, has_report: bool = True
) -> str:
    """Return a dataset card: YAML head, then all sections as tables and sentences.

    Args:
        facts: of `curation.view.card.card_facts.card_facts`.
        configs: the tables beside the card that the hub's loader opens.
        title: name for people; None: that of the DIR.
        has_report: the report and the Croissant file are beside the card.
    """
    title = title or facts.name
    head = hub_head(facts, configs, title).to_yaml(line_break="\n").rstrip("\n")
    body = (
        _environment()
        .get_template("card.md.jinja")
        .render(
            facts=facts, title=title, sections=all_sections(facts), configs=configs, mark=MARK, has_report=has_report
        )
    )
    return f"---\n{head}\n---\n\n{body}"


def escaped(text: str) -> Markup:
    """Return a text as one line of Markdown that shows exactly its characters, the first of them if it is long."""
    safe = _PUNCTUATION.sub(r"\\\1", html.escape(shortened(on_one_line(text)), quote=False))
    return Markup(safe)  # noqa: S704  escaped in the line above


def fenced(text: str) -> Markup:
    """Return a text as a block of code, whatever fences it holds itself."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    lines = "\n".join(on_one_line(line) for line in text.splitlines())
    return Markup(f"{fence}\n{lines}\n{fence}")  # noqa: S704  nothing in it can end the block


def _shown(value: Any) -> Any:
    """Escape all that a template prints, but for what it has escaped itself."""
    return value if isinstance(value, Markup) else escaped(str(value))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("curation.view.card", "templates"),
        finalize=_shown,
        autoescape=True,  # of what `finalize` gives back, nothing is left to be escaped
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["fenced"] = fenced
    return environment
