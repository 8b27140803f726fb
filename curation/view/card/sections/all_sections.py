"""All sections of a card in their order."""

from __future__ import annotations

from curation.reporting.spoken_numbers import counted
from curation.view.card.card_facts import CardFacts
from curation.view.card.sections.choice_sections import choice_section, finding_section
from curation.view.card.sections.clip_sections import amounts, length_section, parts, score_section
from curation.view.card.sections.section import Section
from curation.view.card.sections.source_sections import limit_section, removal_section, source_section
from curation.view.card.sections.text_sections import audit_section, making_section, verdict_section


def all_sections(facts: CardFacts) -> list[Section]:
    """Return the sections of a card."""
    return [
        amounts(facts),
        length_section(facts),
        *parts(facts),
        source_section(facts),
        choice_section(facts),
        finding_section(facts),
        verdict_section(facts),
        audit_section(facts),
        score_section(facts),
        making_section(facts),
        _sample(facts),
        limit_section(facts),
        removal_section(facts),
    ]


def _sample(facts: CardFacts) -> Section:
    if not facts.sample:
        return Section("sample", "Sampled clips", ["No clip is kept, so there is none to show."])
    drawn = (
        f"{counted(len(facts.sample), 'kept clip')}, drawn by the hashes of their keys: every card of the "
        "same clips shows the same ones."
    )
    return Section("sample", "Sampled clips", [drawn], has_sample=True)
