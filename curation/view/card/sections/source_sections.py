"""Sections on the sources, the limits of the data, and the removal of a video."""

from __future__ import annotations

from curation.grounding.judge_registry import JUDGE_KINDS
from curation.reporting.spoken_numbers import counted
from curation.view.card.card_facts import CardFacts
from curation.view.card.sections.section import NONE, CardTable, Column, Section, count, hours, percent


def source_section(facts: CardFacts) -> Section:
    """Return the section on the sources by state and class, and by site."""
    sources = facts.sources
    if sources is None:
        return Section("sources", "Sources", ["This folder holds no table of sources."])
    rows = [
        [each.state, each.class_ or NONE, count(each.sources), percent(each.sources, sources.total), hours(each.hours)]
        for each in sources.outcomes
    ]
    columns = [Column("state", is_number=False), Column("class", is_number=False)]
    columns += map(Column, ("sources", "share", "hours"))
    tables = [CardTable("Sources by state and class of their last attempt", columns, rows)]
    by_site = [
        [
            each.site or f"{counted(each.sites, 'other site')}",
            count(each.sources),
            count(each.written),
            percent(each.written, each.sources),
            hours(each.hours),
        ]
        for each in sources.sites
    ]
    if by_site:
        names = ("sources", "written", "share written", "hours")
        site_columns = [Column("site", is_number=False), *map(Column, names)]
        tables.append(CardTable("Sources by site; files: local files", site_columns, by_site))
    sentences = [f"{counted(sources.total, 'source')} went in; each has one state."]
    return Section("sources", "Sources", sentences, tables)


def limit_section(facts: CardFacts) -> Section:
    """Return the section on known limits, as far as the folder itself shows them."""
    points = []
    silent = sum(each.clips for each in facts.statuses if each.status in ("abstained", "failed"))
    fallback = sum(each.clips for each in facts.statuses if each.status == "fallback")
    if silent:
        share = percent(silent, facts.totals.clips)
        points.append(f"{counted(silent, 'clip')} ({share}) have no grounded text: the writer abstained or failed.")
    if fallback:
        points.append(
            f"{counted(fallback, 'clip')} ({percent(fallback, facts.totals.clips)}) have captions in the place of "
            "claims (rewrite_status fallback)."
        )
    if facts.audit is None:
        points.append("The claims have not been checked by people; verdicts are those of models.")
    asked = {*facts.made_with.judges, *(each.judge for each in facts.verdicts)}
    if not any(kind.looks and kind.name in asked for kind in JUDGE_KINDS):
        points.append("No judge that is recorded looked at the pixels: a wrong caption can support a wrong claim.")
    unknown = sum(share.clips for share in facts.licences if share.name is None)
    if unknown:
        points.append(
            f"The licence of {counted(unknown, 'kept clip')} ({percent(unknown, facts.totals.kept)}) is not known."
        )
    if not facts.findings.duplicate_tables:
        points.append("Duplicates were not searched for.")
    if not facts.findings.contamination_tables:
        points.append("Clips of benchmarks were not searched for: scores on public benchmarks may be too good.")
    points.append(
        "Texts are written by models, and may be wrong. Speech is transcribed by sites or models. Nothing here says "
        "that people who can be seen or heard have agreed."
    )
    return Section("limits", "Known limits", points=points)


def removal_section(facts: CardFacts) -> Section:
    """Return the section on how to remove a video."""
    sentences = [
        "If you want a video to be taken out, write to whoever gave you this card, with the URL of the video. They "
        "run the commands below: the first rewrites every file that holds something of it and notes not to take it "
        "again, the last writes this card anew. Copies and models that were made before are not changed by it.",
        f"{counted(facts.removed, 'video')} {'has' if facts.removed == 1 else 'have'} been removed on request so far.",
    ]
    return Section(
        "removal",
        "How to remove a video",
        sentences,
        code=["curate remove DIR --urls URL --reason TEXT\ncurate check DIR\ncurate card DIR"],
    )
