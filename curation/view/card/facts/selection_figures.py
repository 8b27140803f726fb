"""The selections of a card and what each condition took, duplicates, and matches with benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml

from curation.selection.select_stage import SELECT_VERSION
from curation.view.card.facts.card_tables import CardTables
from runtime.settings import content_hash
from shards.manifest import read_manifest
from shards.reader import read_artifact
from shards.selections.findings import finding_names
from shards.selections.selection import STAGE, recipe_of, table_name
from shards.selections.selection_state import SelectionState, selection_states
from shards.storage.store import Store

_REASONS: Final = """
select coalesce(filter_reason, 'not marked yet') as reason, count(*) as clips, sum(seconds) / 3600 as hours
from clips where not is_kept group by 1 order by clips desc, reason
"""
_MARKS: Final = """
select if(keep, null, coalesce(filter_reason, 'no reason')) as reason, count(*) as clips
from read_parquet(?) group by 1 order by clips desc, reason
"""
_DUPLICATES: Final = """
select kind::varchar as kind, count(distinct d."group") as groups, count(*) as clips,
       count(*) filter (not d.keep) as repeats, coalesce(sum(seconds) filter (not d.keep), 0) / 3600 as hours,
       count(*) filter (not d.keep and is_kept) as kept
from read_parquet(?) d left join clips using (key) group by 1 order by repeats desc, kind
"""
_CONTAMINATION: Final = """
select benchmark, kind::varchar as kind, count(distinct key) as clips, count(distinct benchmark_id) as items,
       count(distinct key) filter (is_kept) as kept
from read_parquet(?) left join clips using (key) group by all order by benchmark, clips desc, kind
"""


@dataclass(frozen=True)
class ReasonCount:
    """Clips that the card's selection leaves out for one reason."""

    reason: str
    clips: int
    hours: float
    """Sum over the clips, of all levels."""


@dataclass(frozen=True)
class SelectionFacts:
    """One selection of the DIR."""

    name: str
    layer: str | None
    clips: int
    kept: int
    taken: tuple[tuple[str, int], ...]
    """Clips that each condition or filter left out, by the first that did; most clips first."""
    recipe: str | None
    """Conditions of `curate select` as YAML; None for a selection that a run made."""
    filters: str | None
    """Filters of the run that made it, as YAML; None for a recipe, and where the manifest has other ones."""
    out_of_date: str | None
    """One line; None if it is up to date."""


@dataclass(frozen=True)
class DuplicateFacts:
    """Duplicates of one kind in one table."""

    table: str
    kind: str
    groups: int
    clips: int
    """Clips in the groups, those that stay included."""
    repeats: int
    """Clips that repeat the one that stays."""
    hours: float
    """Of the repeats, all levels."""
    kept: int
    """Repeats that the card's selection keeps."""


@dataclass(frozen=True)
class ContaminationFacts:
    """Matches of one kind with one benchmark in one table."""

    table: str
    benchmark: str
    kind: str
    clips: int
    items: int
    """Items of the benchmark that a clip matches."""
    kept: int
    """Clips with a match that the card's selection keeps."""


@dataclass(frozen=True)
class FindingFacts:
    """Findings of the searches for duplicates and benchmarks; a name without rows found nothing."""

    duplicate_tables: tuple[str, ...]
    duplicates: tuple[DuplicateFacts, ...]
    contamination_tables: tuple[str, ...]
    contamination: tuple[ContaminationFacts, ...]


def reasons(tables: CardTables) -> tuple[ReasonCount, ...]:
    """Return the clips that are left out, by reason."""
    return tuple(ReasonCount(**row) for row in tables.rows(_REASONS))


def selection_facts(tables: CardTables) -> tuple[SelectionFacts, ...]:
    """Return all selections of the DIR, by name.

    Raises:
        ShardError: a table is unreadable.
    """
    return tuple(_facts(tables, state) for state in selection_states(tables.store))


def finding_facts(tables: CardTables) -> FindingFacts:
    """Return the duplicates and the matches with benchmarks in the tables of findings.

    Raises:
        UserError: a table is damaged.
    """
    duplicates = finding_names(tables.store, "duplicates")
    contamination = finding_names(tables.store, "contamination")
    return FindingFacts(
        tuple(duplicates),
        tuple(DuplicateFacts(name, **row) for name in duplicates for row in _rows(tables, "duplicates", name)),
        tuple(contamination),
        tuple(
            ContaminationFacts(name, **row) for name in contamination for row in _rows(tables, "contamination", name)
        ),
    )


def _rows(tables: CardTables, kind: str, name: str) -> list[Any]:
    query = _DUPLICATES if kind == "duplicates" else _CONTAMINATION
    return tables.rows(query, [tables.store.path(f"{kind}/{name}.parquet")])


def _facts(tables: CardTables, state: SelectionState) -> SelectionFacts:
    rows = tables.rows(_MARKS, [tables.store.path(table_name(state.name))])
    taken = tuple((row["reason"], row["clips"]) for row in rows if row["reason"] is not None)
    return SelectionFacts(
        state.name,
        state.layer,
        sum(row["clips"] for row in rows),
        sum(row["clips"] for row in rows if row["reason"] is None),
        taken,
        recipe_of(tables.store, state.name),
        _filters(tables.store, state.name),
        state.out_of_date,
    )


def _filters(store: Store, name: str) -> str | None:
    """Return the filters in the manifest, if the selection was made with them: runs may have changed them since."""
    manifest = read_manifest(store)
    stored = None if manifest is None else manifest.settings.get(STAGE)
    if not stored or content_hash(STAGE, SELECT_VERSION, stored) != read_artifact(store, table_name(name)).content_hash:
        return None
    return yaml.safe_dump(stored, sort_keys=False, allow_unicode=True)
