"""Sections on choosing: what filters and selections took, duplicates, and matches with benchmarks."""

from __future__ import annotations

from curation.view.card.card_facts import CardFacts
from curation.view.card.facts.selection_figures import SelectionFacts
from curation.view.card.sections.section import NONE, CardTable, Column, Section, count, hours, percent


def choice_section(facts: CardFacts) -> Section:
    """Return the section on filters and selections."""
    tables, sentences, code = [], [], []
    if facts.is_marked:
        rows = [
            [each.reason, count(each.clips), percent(each.clips, facts.totals.clips), hours(each.hours)]
            for each in facts.reasons
        ]
        columns = [Column("reason", is_number=False), *map(Column, ("clips", "of all", "hours, all levels"))]
        if rows:
            tables.append(CardTable("Clips that are left out, by the first reason", columns, rows))
        else:
            sentences.append("No clip is left out.")
    if not facts.selections:
        sentences.append("This folder holds no selection.")
    else:
        tables.append(_selections(facts))
        taken = [[each.name, name, count(clips)] for each in facts.selections for name, clips in each.taken]
        if taken:
            columns = [Column("selection", is_number=False), Column("reason", is_number=False), Column("clips")]
            tables.append(CardTable("What each filter or condition took, in every selection", columns, taken))
        code = [
            f"# selection {each.name}\n{text.rstrip()}"
            for each in facts.selections
            if (text := each.recipe or each.filters)
        ]
        if code:
            sentences.append("Below the tables are the filters and recipes by which selections were made.")
    return Section("choice", "Filters and selections", sentences, tables, code=code)


def _selections(facts: CardFacts) -> CardTable:
    columns = [
        Column("selection", is_number=False),
        Column("layer", is_number=False),
        *map(Column, ("kept", "of", "share")),
        Column("made by", is_number=False),
        Column("state", is_number=False),
    ]
    return CardTable("Selections of this folder", columns, [_selection(each) for each in facts.selections])


def _selection(each: SelectionFacts) -> list[str]:
    state = "up to date" if each.out_of_date is None else f"out of date: {each.out_of_date}"
    by = "a run" if each.recipe is None else "a recipe"
    return [
        each.name,
        each.layer or NONE,
        count(each.kept),
        count(each.clips),
        percent(each.kept, each.clips),
        by,
        state,
    ]


def finding_section(facts: CardFacts) -> Section:
    """Return the section on duplicates and matches with benchmarks."""
    found, tables, sentences = facts.findings, [], []
    if not found.duplicate_tables:
        sentences.append("Nobody has looked for duplicates in this folder (curate dedup).")
    elif not found.duplicates:
        sentences.append("Searches for duplicates found none.")
    else:
        rows = [
            [d.table, d.kind, *map(count, (d.groups, d.clips, d.repeats)), hours(d.hours), count(d.kept)]
            for d in found.duplicates
        ]
        names = ("groups", "clips in them", "repeats", "hours of repeats", "repeats kept")
        columns = [Column("table", is_number=False), Column("kind", is_number=False), *map(Column, names)]
        tables.append(CardTable("Duplicates; the last column counts repeats that the selection keeps", columns, rows))
    if not found.contamination_tables:
        sentences.append("Nobody has looked for clips of benchmarks in this folder (curate clean-of).")
    elif not found.contamination:
        sentences.append(f"Searches for clips of benchmarks ({', '.join(found.contamination_tables)}) found none.")
    else:
        rows = [[c.benchmark, c.kind, *map(count, (c.clips, c.items, c.kept))] for c in found.contamination]
        columns = [Column("benchmark", is_number=False), Column("kind", is_number=False)]
        columns += map(Column, ("clips", "items", "clips kept"))
        tables.append(CardTable("Clips that match an item of a benchmark", columns, rows))
    return Section("findings", "Duplicates and contamination", sentences, tables)
