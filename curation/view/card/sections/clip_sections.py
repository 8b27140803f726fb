"""Sections on the clips: amounts by level, lengths beside the paper's, languages, sites and licences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from curation.reporting.spoken_numbers import byte_size, counted, length
from curation.view.card.card_facts import CardFacts
from curation.view.card.facts.card_tables import Share
from curation.view.card.facts.clip_figures import LevelLengths
from curation.view.card.sections.section import (
    NONE,
    UNKNOWN,
    CardTable,
    Column,
    HistogramPlot,
    HistogramSeries,
    Section,
    count,
    hours,
    number,
    percent,
)
from curation.view.paper_table import PAPER_TABLE_1
from shards.schema import LEVELS, Level

_PLOTTED: Final = ("seconds", "subtitle_words", "caption_words", "grounded_words")


def amounts(facts: CardFacts) -> Section:
    """Return the section on clips and hours by level."""
    rows = [
        [
            each.level,
            count(each.clips),
            hours(each.hours),
            count(each.kept),
            hours(each.kept_hours),
            count(each.train) if facts.is_marked else NONE,
            count(each.val) if facts.is_marked else NONE,
            percent(each.with_grounded, each.kept),
            percent(each.with_caption, each.kept),
            percent(each.with_speech, each.kept),
        ]
        for each in facts.levels
    ]
    names = ("clips", "hours", "kept", "kept hours", "train", "val", "grounded text", "captions", "speech")
    columns = [Column("level", is_number=False), *map(Column, names)]
    table = CardTable("Clips and hours by level; the last three columns are shares of the kept clips", columns, rows)
    return Section("amounts", "Clips and hours", _amount_sentences(facts), [table])


def _amount_sentences(facts: CardFacts) -> list[str]:
    total = facts.totals
    sentences = [
        f"{counted(total.clips, 'clip')} of {counted(total.videos, 'video')}, {length(total.hours)} of video. Clips "
        "are nested: a long clip holds medium ones, and these hold short ones. Hours of several levels therefore count "
        "the same seconds more than once; all other hours on this card count each second once."
    ]
    if facts.is_marked:
        by = f"The selection {facts.selection}" if facts.selection else "The layer"
        sentences.append(
            f"{by} keeps {counted(total.kept, 'clip')} ({percent(total.kept, total.clips)}) of "
            f"{counted(total.kept_videos, 'video')}, {length(total.kept_hours)}. Figures are of the kept clips "
            "where nothing else is said."
        )
    else:
        sentences.append("No selection marks the clips: all of them count as kept, and there is no split yet.")
    if total.unmarked and facts.is_marked:
        sentences.append(
            f"{counted(total.unmarked, 'clip')} of newer shards are in no selection yet and count as left out."
        )
    if (media := facts.media) is not None:
        sentences.append(
            f"Media: {counted(media.roots, 'root')} in {counted(media.shards, 'shard')}, {length(media.hours)}, "
            f"{byte_size(media.media_bytes)} of video and {byte_size(media.keyframe_bytes)} of stills."
        )
    return sentences


def length_section(facts: CardFacts) -> Section:
    """Return the section on lengths and words, beside the paper's Table 1."""
    measured = [each for each in facts.lengths if any(each.by_level.values())]
    rows = [row for each in measured for row in _length_rows(each)]
    names = ("clips", "mean", "Table 1", "5 %", "median", "95 %")
    columns = [Column("what", is_number=False), Column("level", is_number=False), *map(Column, names)]
    caption = "Lengths of the kept clips; Table 1 is the mean in VidLA's paper (arXiv 2403.14870)"
    plots = [plot for each in measured if each.column in _PLOTTED and (plot := _length_plot(each)) is not None]
    sentences = [] if rows else ["No clip is kept, so there is no length to show."]
    return Section(
        "lengths", "Lengths and words", sentences, [CardTable(caption, columns, rows)] if rows else [], plots
    )


def _length_rows(measured: LevelLengths) -> list[list[str]]:
    rows = []
    for level, found in measured.by_level.items():
        if found is not None:
            paper = _paper(measured.column, level)
            values = (found.mean, paper, found.low, found.median, found.high)
            rows.append(
                [measured.label, level, count(found.count), *(NONE if v is None else f"{v:.1f}" for v in values)]
            )
    return rows


def _paper(column: str, level: Level) -> float | None:
    value: float | None = getattr(PAPER_TABLE_1[level], column, None)
    return value


def _length_plot(measured: LevelLengths) -> HistogramPlot | None:
    series = [
        HistogramSeries(level, found.histogram, _paper(measured.column, level))
        for level in LEVELS
        if (found := measured.by_level[level]) is not None
    ]
    title = f"{measured.label[0].upper()}{measured.label[1:]} of a clip, by level"
    return HistogramPlot(title, measured.label, series) if series else None


def parts(facts: CardFacts) -> list[Section]:
    """Return the sections on languages, licences and sites."""
    licences = ["A licence is what the site of the video states; nobody has checked it."]
    if not any(share.name for share in facts.licences):
        licences.append("No licence is known of any clip.")
    return [
        _shares("languages", "Languages", "Language of the speech", facts.languages, "no speech or not known"),
        _shares("licences", "Licences", "Licence as the site words it", facts.licences, UNKNOWN, licences),
        _shares("sites", "Sites", "Site of the video", facts.sites, UNKNOWN),
    ]


def _shares(
    id_: str, title: str, caption: str, shares: Sequence[Share], unknown: str, sentences: Sequence[str] = ()
) -> Section:
    total = sum(share.clips for share in shares)
    rows = [
        [
            share.name or unknown,
            count(share.clips),
            percent(share.clips, total),
            hours(share.hours),
            count(share.videos),
        ]
        for share in shares
    ]
    columns = [Column(caption, is_number=False), *map(Column, ("clips", "share", "hours", "videos"))]
    bars = [share.clips / total for share in shares]
    if not rows:
        return Section(id_, title, [*sentences, "No clip is kept."])
    return Section(id_, title, sentences, [CardTable(f"{title} of the kept clips", columns, rows, bars)])


def score_section(facts: CardFacts) -> Section:
    """Return the section on scores."""
    if not facts.scores:
        return Section("scores", "Scores", ["This folder holds no scores (the stage score has not been run)."])
    tables, plots, sentences = [], [], []
    for each in facts.scores:
        own = [(score.name, score.distribution) for score in each.scores if score.distribution is not None]
        rows = [
            [name, count(d.count), *map(number, (d.mean, d.smallest, d.low, d.median, d.high, d.largest))]
            for name, d in own
        ]
        names = ("clips", "mean", "least", "5 %", "median", "95 %", "most")
        if rows:
            columns = [Column("score", is_number=False), *map(Column, names)]
            tables.append(CardTable(f"Scores of the set {each.name} ({count(each.clips)} kept clips)", columns, rows))
        plots += [HistogramPlot(f"{each.name}: {name}", name, [HistogramSeries(name, d.histogram)]) for name, d in own]
        for score in each.scores:
            if score.values:
                values = [[value.value or UNKNOWN, count(value.clips)] for value in score.values]
                heads = [Column(score.name, is_number=False), Column("clips")]
                tables.append(CardTable(f"Commonest values of {each.name}: {score.name}", heads, values))
        for vectors in each.vectors:
            by = "" if vectors.model is None else f", by {vectors.model}"
            at = "" if vectors.revision is None else f" at revision {vectors.revision}"
            sentences.append(f"The set {each.name} holds vectors {vectors.name} of {vectors.width} numbers{by}{at}.")
        if each.not_shown:
            sentences.append(f"Columns of {each.name} that are lists and not shown: {', '.join(each.not_shown)}.")
    return Section("scores", "Scores", sentences, tables, plots)
