"""The clips of a card: how many, how long, how many words, and how their texts came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from curation.view.card.facts.card_tables import CardTables
from curation.view.card.facts.distributions import Distribution, bar_width, distribution
from curation.view.sql_tables import files
from shards.schema import LEVELS, Level

LENGTHS: Final[Mapping[str, str]] = {
    "seconds": "seconds",
    "subtitle_words": "words of speech",
    "subtitle_summary_words": "words of its summary",
    "caption_words": "words of captions",
    "caption_summary_words": "words of their summary",
    "grounded_words": "words of grounded text",
}
"""The measured lengths of clips, by the column of `CardTables`."""
_LEVELS: Final = """
select level, count(*) as clips, sum(seconds) / 3600 as hours, count(*) filter (is_kept) as kept,
       coalesce(sum(seconds) filter (is_kept), 0) / 3600 as kept_hours,
       count(*) filter (is_kept and split = 'train') as train, count(*) filter (is_kept and split = 'val') as val,
       count(*) filter (is_kept and grounded_words > 0) as with_grounded,
       count(*) filter (is_kept and caption_words > 0) as with_caption,
       count(*) filter (is_kept and subtitle_words > 0) as with_speech
from clips group by level
"""
_TOTALS: Final = """
select (select count(*) from clips) as clips, (select count(*) from clips where keep is null) as unmarked,
       (select coalesce(sum(seconds), 0) / 3600 from clips where is_root) as hours,
       (select count(distinct video) from clips) as videos,
       count(*) as kept, coalesce(sum(seconds) filter (is_top), 0) / 3600 as kept_hours,
       count(distinct video) as kept_videos from kept
"""
_STATUSES: Final = """
select level, rewrite_status as status, count(*) as clips, count(*) filter (is_kept) as kept
from clips group by all order by clips desc, status
"""
_VERDICTS: Final = """
select claim.verdict as verdict, {judge} as judge, count(*) as claims
from (select unnest(claims) as claim from read_parquet(?)) group by all order by claims desc, verdict, judge
"""


@dataclass(frozen=True)
class LayerTotals:
    """All clips of a layer; hours count each second once."""

    clips: int
    unmarked: int
    """Clips that no selection has marked yet."""
    hours: float
    videos: int
    kept: int
    kept_hours: float
    kept_videos: int


@dataclass(frozen=True)
class LevelFacts:
    """The clips of one level."""

    level: Level
    clips: int
    hours: float
    kept: int
    kept_hours: float
    train: int
    """Kept clips of this split."""
    val: int
    with_grounded: int
    """Kept clips that have grounded text."""
    with_caption: int
    with_speech: int


@dataclass(frozen=True)
class LevelLengths:
    """One length of the kept clips, such as seconds or words, by level; None where no clip has it."""

    column: str
    label: str
    by_level: Mapping[Level, Distribution | None]
    """The histograms of all levels have bars of one width."""


@dataclass(frozen=True)
class StatusFacts:
    """Clips of one level with one rewrite status."""

    level: Level
    status: str
    clips: int
    kept: int


@dataclass(frozen=True)
class VerdictCount:
    """Claims with one verdict of one judge."""

    verdict: str
    judge: str | None
    """None: no judge was asked, or the layer does not record it."""
    claims: int


def totals(tables: CardTables) -> LayerTotals:
    """Return the figures of all clips."""
    (row,) = tables.rows(_TOTALS)
    return LayerTotals(**row)


def level_facts(tables: CardTables) -> tuple[LevelFacts, ...]:
    """Return the figures of each level that has clips, in the order of `LEVELS`."""
    rows = {row["level"]: LevelFacts(**row) for row in tables.rows(_LEVELS)}
    return tuple(rows[level] for level in LEVELS if level in rows)


def lengths(tables: CardTables) -> tuple[LevelLengths, ...]:
    """Return the distributions of all lengths of the kept clips."""
    return tuple(_lengths(tables, column, label) for column, label in LENGTHS.items())


def statuses(tables: CardTables) -> tuple[StatusFacts, ...]:
    """Return the clips by rewrite status and level."""
    return tuple(StatusFacts(**row) for row in tables.rows(_STATUSES))


def verdicts(tables: CardTables) -> tuple[VerdictCount, ...]:
    """Return all claims of the layer, kept or not, by verdict and judge.

    Raises:
        UserError: a table is damaged.
    """
    paths = files(tables.store, f"text/{tables.layer}")
    (kind,) = tables.rows("select any_value(typeof(claims)) as kind from read_parquet(?)", [paths[:1]])
    judge = "claim.judge" if "judge VARCHAR" in str(kind["kind"]) else "null::varchar"
    return tuple(VerdictCount(**row) for row in tables.rows(_VERDICTS.format(judge=judge), [paths]))


def _lengths(tables: CardTables, column: str, label: str) -> LevelLengths:
    (row,) = tables.rows(f"select min({column}) as low, max({column}) as high from kept")  # noqa: S608  of `LENGTHS`
    if row["high"] is None:
        return LevelLengths(column, label, dict.fromkeys(LEVELS))
    width = max(bar_width(0, row["high"]), 1.0)
    return LevelLengths(column, label, {level: _of_level(tables, column, level, width) for level in LEVELS})


def _of_level(tables: CardTables, column: str, level: Level, width: float) -> Distribution | None:
    return distribution(tables, f"kept where level = '{level}'", column, width)
