"""The figures of scores in `status` and `inspect`: spread over the clips of a set, failures, one clip's."""

from __future__ import annotations

from collections import Counter
from typing import Final

import duckdb
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from curation.view.sql_tables import connect, damage_reported
from shards.reader import artifacts
from shards.scores.score_set import ScoreSet, score_sets
from shards.storage.store import Store

_QUANTILES: Final = (0.05, 0.5, 0.95)


def print_scores(console: Console, store: Store, name: str) -> None:
    """Print the figures of one score set; nothing while it has no table.

    Raises:
        ShardError: a table is damaged, or was made with other settings than its set's.
    """
    scores = ScoreSet.open(store, name)
    if not scores.shards:
        return
    with damage_reported(store, scores.folder):
        rows = connect(store).read_parquet(scores.files())
        ((clips,),) = rows.count("*").fetchall()
        table = Table(title=f"\nscores {name}: {clips} clips", title_justify="left")
        for heading in ("score", "clips with one", "5 %", "median", "95 %"):
            table.add_column(heading, justify="left" if heading == "score" else "right")
        for column in scores.columns:
            table.add_row(column, *_figures(rows, column))
    for column, fact in scores.vectors.items():
        table.add_row(f"{column} (vectors of {fact.width})", "", "", "", "")
    console.print(table)
    failed: Counter[str] = Counter()
    for artifact in artifacts(store, scores.folder, scores.shards).values():
        failed.update({each: int(count) for each, count in artifact.counts.items() if each.startswith("failed:")})
    if failed:
        counted = ", ".join(f"{each.removeprefix('failed:')} {count}" for each, count in failed.most_common())
        console.print(f"clips without a score because it failed: {counted}", markup=False, soft_wrap=True)


def clip_scores(store: Store, key: str, shard: int) -> dict[str, str]:
    """Return the scores of one clip as one line for each set that has it; nulls are left out.

    Raises:
        ShardError: a table is damaged, or was made with other settings than its set's.
    """
    lines: dict[str, str] = {}
    for name in score_sets(store):
        scores = ScoreSet.open(store, name)
        if shard not in scores.shards:
            continue
        table = scores.table(shard)
        for row in table.filter(pc.equal(table["key"], key)).to_pylist():
            values = {column: row[column] for column in scores.columns if row[column] is not None}
            lines[name] = ", ".join(f"{column} {_shown(value)}" for column, value in values.items())
    return lines


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"({len(value)} values)"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(rows: duckdb.DuckDBPyRelation, column: str) -> list[str]:
    """Return the number of clips that have a value, and quantiles if they are numbers."""
    name = '"' + column.replace('"', '""') + '"'
    kind = str(rows.types[rows.columns.index(column)])
    quantiles = f"quantile_cont({name}, {[*_QUANTILES]})" if kind in ("FLOAT", "DOUBLE") else "null"
    ((count, values),) = rows.aggregate(f"count({name}), {quantiles}").fetchall()
    return [str(count), *("-" if values is None else f"{value:.4g}" for value in values or _QUANTILES)]
