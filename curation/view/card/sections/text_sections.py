"""Sections on the texts: rewrite statuses, verdicts on claims, the audit, and the models that made them."""

from __future__ import annotations

from collections.abc import Sequence

from curation.grounding.audit.proportions import Proportion
from curation.grounding.measurement.control_figures import ControlFigure
from curation.reporting.spoken_numbers import counted
from curation.view.card.card_facts import CardFacts
from curation.view.card.facts.audit_facts import AuditFacts
from curation.view.card.sections.section import (
    NONE,
    CardTable,
    Column,
    IntervalPlot,
    IntervalRow,
    Section,
    count,
    percent,
)
from shards.schema import LEVELS, REWRITE_STATUSES


def verdict_section(facts: CardFacts) -> Section:
    """Return the section on rewrite statuses and verdicts."""
    tables, sentences = [], []
    rows = []
    for status in REWRITE_STATUSES:
        by_level = {each.level: each.clips for each in facts.statuses if each.status == status}
        total = sum(by_level.values())
        counts = [count(by_level.get(level, 0)) for level in LEVELS]
        rows.append([status, *counts, count(total), percent(total, facts.totals.clips)])
    columns = [Column("rewrite_status", is_number=False), *map(Column, (*LEVELS, "all", "share"))]
    if facts.totals.clips:
        tables.append(CardTable("Rewrite status of all clips, kept or not", columns, rows))
    claims = sum(each.claims for each in facts.verdicts)
    if claims:
        own = [[v.verdict, v.judge or NONE, count(v.claims), percent(v.claims, claims)] for v in facts.verdicts]
        columns = [
            Column("verdict", is_number=False),
            Column("judge", is_number=False),
            Column("claims"),
            Column("share"),
        ]
        bars = [each.claims / claims for each in facts.verdicts]
        tables.append(CardTable(f"Verdicts on all {claims:,} claims; only supported ones are kept", columns, own, bars))
    else:
        sentences.append("The layer holds no claims.")
    if facts.made_with.judges:
        sentences.append(
            f"Judges of claims, in the order in which they are asked: {', '.join(facts.made_with.judges)}."
        )
    return Section("verdicts", "Texts and verdicts", sentences, tables)


def audit_section(facts: CardFacts) -> Section:
    """Return the section on what people say of the claims."""
    audit = facts.audit
    controls = [_controls(facts.controls)] if facts.controls else []
    if audit is None:
        return Section(
            "audit",
            "Audit",
            [
                "Nobody has labelled claims of this layer yet (curate audit): how many of the kept ones are true is "
                "not known."
            ],
            controls,
        )
    rows = []
    drawn = []
    for step in audit.steps:
        rows.append([step.step, count(step.labelled), *_share(step.precision), *_share(step.cant_tell)[:1]])
        if (true := step.precision) is not None:
            drawn.append(IntervalRow(step.step, true.value, true.by_video.low, true.by_video.high))
    columns = [Column("claims", is_number=False), *map(Column, ("labelled", "true", "95 % interval", "can't tell"))]
    tables = [CardTable("Share of claims that are true, before and after each judge", columns, rows)]
    if audit.judges:
        tables.append(_judges(audit))
    tables += controls
    plots = [IntervalPlot("Share of claims that are true, with 95 % intervals", drawn)] if drawn else []
    return Section("audit", "Audit", _audit_sentences(audit), tables, plots)


def _audit_sentences(audit: AuditFacts) -> list[str]:
    found = audit.figures
    of = "" if audit.where is None else f" where {audit.where}"
    people = "1 person" if len(found.labellers) == 1 else f"{len(found.labellers)} people"
    sentences = [
        f"{people} labelled {counted(found.labelled_claims, 'claim')} of {counted(found.labelled_clips, 'clip')}; the "
        f"sample has {counted(found.clips, 'clip')} of the layer{of}. Intervals are Wilson's, and know that claims "
        "of one video resemble each other."
    ]
    for pair in found.people:
        if pair.agreement is not None:
            kappa = "" if pair.agreement.kappa is None else f", kappa {pair.agreement.kappa:.2f}"
            agreed = f"{percent(pair.agreement.agreed, 1)} of {counted(pair.agreement.seen, 'claim')}"
            sentences.append(f"Two people who labelled the same claims agree on {agreed}{kappa}.")
    for each in found.omissions[:1]:
        if each.incomplete is not None:
            value, interval = _share(each.incomplete)
            sentences.append(f"Clips whose claims leave out something important: {value} ({interval}).")
    if found.uncovered > 0:
        sentences.append(f"No labelled clip speaks for {percent(found.uncovered, 1)} of the layer's clips.")
    if audit.is_outdated:
        sentences.append("The layer was made anew after the sample was drawn: these figures are about the earlier one.")
    return sentences


def _judges(audit: AuditFacts) -> CardTable:
    rows = []
    for judge in audit.judges:
        seen = (judge.true_accepted, judge.true_rejected, judge.false_accepted, judge.false_rejected, judge.unjudged)
        rows.append([judge.judge, *map(count, seen)])
    names = ("true, accepted", "true, rejected", "false, accepted", "false, rejected", "no score")
    columns = [Column("judge", is_number=False), *map(Column, names)]
    return CardTable("Judges against people, on the labelled claims that each decided", columns, rows)


def _controls(figures: Sequence[ControlFigure]) -> CardTable:
    """Return the claims that judges accept by kind: one row a kind, one column a judge."""
    judges = list(dict.fromkeys(figure.judge for figure in figures))
    rows = []
    for kind in dict.fromkeys(figure.kind for figure in figures):
        own = {figure.judge: figure for figure in figures if figure.kind == kind}
        claims = max(figure.claims for figure in own.values())
        rows.append([kind, count(claims), *(_accepted(own.get(judge)) for judge in judges)])
    caption = (
        "Claims of known kinds that judges accept, with 95 % intervals: untouched ones are the layer's own, all others "
        "hold an injected error or belong to another clip"
    )
    return CardTable(caption, [Column("kind", is_number=False), *map(Column, ("claims", *judges))], rows)


def _accepted(figure: ControlFigure | None) -> str:
    if figure is None or figure.claims <= figure.unjudged:
        return NONE
    return f"{percent(figure.share, 1)} ({percent(figure.low, 1)} to {percent(figure.high, 1)})"


def _share(share: Proportion | None) -> tuple[str, str]:
    """Return a share and its interval, which is that by video."""
    if share is None:
        return NONE, NONE
    return percent(share.value, 1), f"{percent(share.by_video.low, 1)} to {percent(share.by_video.high, 1)}"


def making_section(facts: CardFacts) -> Section:
    """Return the section on models, prompts and programs."""
    made, tables, sentences = facts.made_with, [], []
    sentences.append(f"Pipeline {facts.pipeline}, text layer {facts.layer}, schema version {facts.schema_version}.")
    if made.run_dates:
        days = list(dict.fromkeys((made.run_dates[0], made.run_dates[-1])))
        sentences.append(f"Runs are logged {'on' if len(days) == 1 else 'from'} {' to '.join(days)} (UTC).")
    if made.models:
        rows = [[m.folder, m.setting or NONE, m.uri, m.revision or "not recorded"] for m in made.models]
        columns = [Column(name, is_number=False) for name in ("folder", "setting", "model", "revision")]
        tables.append(CardTable("Models; the revision is a commit of the hub or a hash", columns, rows))
    else:
        sentences.append("The records of this folder name no model.")
    if made.named:
        rows = [
            [n.asr or NONE, n.captioner or NONE, n.rewriter or NONE, n.prompt or NONE, count(n.clips)]
            for n in made.named
        ]
        columns = [Column(name, is_number=False) for name in ("speech", "captions", "rewrite", "prompts")]
        tables.append(CardTable("Models and prompts as the clips record them", [*columns, Column("clips")], rows))
    if made.prompts:
        rows = [[p.folder, p.name, p.hash] for p in made.prompts]
        columns = [Column(name, is_number=False) for name in ("folder", "prompt", "hash")]
        tables.append(CardTable("Prompts by the hash of their text", columns, rows))
    if made.programs:
        rows = [[p.folder, p.program, ", ".join(p.versions)] for p in made.programs]
        columns = [Column(name, is_number=False) for name in ("folder", "program", "versions")]
        tables.append(CardTable("Programs", columns, rows))
    return Section("models", "Models and prompts", sentences, tables)
