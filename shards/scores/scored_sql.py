"""Scores as columns of clips in a relation of DuckDB, so that a condition in SQL can name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from shards.scores.score_set import ScoreSet

if TYPE_CHECKING:
    import duckdb


def with_scores(
    connection: duckdb.DuckDBPyConnection, clips: duckdb.DuckDBPyRelation, sets: Sequence[ScoreSet]
) -> duckdb.DuckDBPyRelation:
    """Return clips with their scores; null for a clip that has none yet.

    A score that only one set has is a column of its own name, unless clips have one of that name. All scores of a set
    are in a column named after the set as well: ``demo.motion``. Where clips have a column of the set's name, it is
    ``scores_demo``.

    Args:
        connection: the one that `clips` belongs to; it can read the DIR.
        clips: with the column ``key``.
        sets: score sets of the DIR; those without a table are left out.

    Raises:
        ShardError: a table was made with other settings than its set's.
    """
    made = [each for each in sets if each.shards and each.columns]
    often = Counter(column.lower() for each in made for column in each.columns)
    for each in made:
        taken = {name.lower() for name in clips.columns}  # SQL does not tell capitals apart
        structure = _free(each.name, taken)
        alone = [name for name in each.columns if often[name.lower()] == 1 and name.lower() not in {*taken, structure}]
        table = connection.read_parquet(each.files())
        kinds = dict(zip(table.columns, map(str, table.types), strict=True))
        values = ", ".join(f"{_text(name)}: {_value(name, kinds[name])}" for name in each.columns)
        columns = [f"{{{values}}} as {_name(structure)}"]
        columns += [f"{_value(name, kinds[name])} as {_name(name)}" for name in alone]
        scores = table.project(f"key as score_key, {', '.join(columns)}")
        joined = clips.set_alias("clips").join(scores.set_alias("scores"), "clips.key = scores.score_key", "left")
        clips = joined.project("* exclude (score_key)")
    return clips


def _free(name: str, taken: Collection[str]) -> str:
    while name.lower() in taken:
        name = f"scores_{name}"
    return name


def _value(name: str, kind: str) -> str:
    """Return a score as SQL, with null for NaN: both mean that there is none."""
    return f"nullif({_name(name)}, 'nan'::{kind})" if kind in ("FLOAT", "DOUBLE") else _name(name)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
