"""The scores of a card: the distribution of each number over the kept clips, and the commonest values of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curation.view.browser.queries.clip_tables import quoted
from curation.view.card.facts.card_tables import CardTables
from curation.view.card.facts.distributions import Distribution, distribution
from curation.view.sql_tables import damage_reported
from shards.scores.score_set import ScoreSet, score_sets

_NUMBERS: Final = ("FLOAT", "DOUBLE", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_NAMED: Final = ("VARCHAR", "BOOLEAN")
_VALUES: Final = 10


@dataclass(frozen=True)
class ValueCount:
    """Kept clips with one value of a score that is a text or yes/no; None: without one."""

    value: str | None
    clips: int


@dataclass(frozen=True)
class ScoreFacts:
    """One score of one set."""

    name: str
    distribution: Distribution | None
    """Of a number; None if no kept clip has one."""
    values: tuple[ValueCount, ...] = ()
    """The commonest values of a text or yes/no."""


@dataclass(frozen=True)
class VectorFacts:
    """Vectors of a score set."""

    name: str
    width: int
    model: str | None
    revision: str | None


@dataclass(frozen=True)
class ScoreSetFacts:
    """One score set."""

    name: str
    clips: int
    """Kept clips that have a row in it."""
    scores: tuple[ScoreFacts, ...]
    vectors: tuple[VectorFacts, ...]
    not_shown: tuple[str, ...]
    """Columns that are neither numbers nor short texts, such as hashes of frames."""


def score_facts(tables: CardTables) -> tuple[ScoreSetFacts, ...]:
    """Return the figures of every score set that has a table.

    Raises:
        ShardError: a table is damaged, or was made with other settings than its set's.
    """
    sets = (ScoreSet.open(tables.store, name) for name in score_sets(tables.store))
    return tuple(_of_set(tables, scores) for scores in sets if scores.shards)


def _of_set(tables: CardTables, scores: ScoreSet) -> ScoreSetFacts:
    with damage_reported(tables.store, scores.folder):
        rows = tables.connection.read_parquet(scores.files())
        kinds = dict(zip(rows.columns, map(str, rows.types), strict=True))
        shown = [name for name in scores.columns if kinds[name] in (*_NUMBERS, *_NAMED)]
        columns = ", ".join(["key", *map(quoted, shown)])
        tables.connection.execute("drop table if exists score_values")
        rows.project(columns).join(tables.connection.table("kept").project("key"), "key", "semi").create("score_values")
    (count,) = tables.rows("select count(*) as clips from score_values")
    return ScoreSetFacts(
        scores.name,
        count["clips"],
        tuple(_score(tables, name, kinds[name]) for name in shown),
        tuple(VectorFacts(name, fact.width, fact.model, fact.revision) for name, fact in scores.vectors.items()),
        tuple(name for name in scores.columns if name not in shown),
    )


def _score(tables: CardTables, name: str, kind: str) -> ScoreFacts:
    if kind in _NUMBERS:
        return ScoreFacts(name, distribution(tables, "score_values", name))
    query = f"select {quoted(name)}::varchar as value, count(*) as clips from score_values group by 1 "  # noqa: S608
    rows = tables.rows(f"{query} order by clips desc, value limit {_VALUES}")
    return ScoreFacts(name, None, tuple(ValueCount(**row) for row in rows))
