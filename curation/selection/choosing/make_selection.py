"""Makes a selection by a recipe, from tables alone: ``selections/<name>.parquet`` with its recipe in the footer.

The tables of the shards are read once for the facts, and the marks to begin with once more while the rows are written.
The same recipe over the same tables gives the same bytes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.selection.choosing.choice import ClipChoice, Matched, choose
from curation.selection.choosing.choice_facts import ChoiceFacts, FactReader
from curation.selection.choosing.found_clips import BenchmarkMatches, DuplicateGroups
from curation.selection.choosing.recipe import Recipe
from curation.selection.choosing.recipe_inputs import RecipeInputs
from curation.selection.clip_marks import mark_counts
from curation.selection.row_groups import grouped
from shards.artifact import Artifact
from shards.keys import split_of
from shards.schema import SELECTION
from shards.selections.clip_columns import ClipColumns
from shards.selections.selection import RECIPE, STAGE, table_name
from shards.storage.store import Store
from shards.writer import commit_tables


@dataclass(frozen=True)
class MadeSelection:
    """A selection that was written."""

    recipe: Recipe
    choice: ClipChoice
    counts: Counter[str]
    """Figures of `curation.selection.clip_marks.mark_counts`."""
    unmarked: tuple[int, ...]
    """Shards that were left out, because the selection to begin with doesn't have them yet."""


def make_selection(store: Store, name: str, recipe: Recipe) -> MadeSelection:
    """Make a selection by a recipe and commit it; the caller holds the lock of the DIR.

    Args:
        store: the DIR.
        name: name of the selection.
        recipe: its conditions.

    Raises:
        ShardError: a table or a column that the recipe names isn't there, is out of date or unreadable, or an
            expression fails.
        OSError: disk full, no permission, network; a selection of before stays as it was.
    """
    inputs = RecipeInputs.open(store, recipe)
    columns = ClipColumns.open(store, recipe.layer, inputs.shards[0])
    reader = FactReader(columns, recipe)
    digests = inputs.digests(columns, reader.needed)
    facts, matched, duplicates = _facts(inputs, reader)
    choice = choose(facts, recipe, matched, duplicates)
    counts: Counter[str] = Counter()
    recipe = recipe.model_copy(update={"name": name})

    def artifact() -> Artifact:
        return Artifact(STAGE, recipe.hash, inputs=digests, counts=dict(counts))

    rows = grouped(_rows(inputs, choice, counts))
    with tempfile.TemporaryDirectory(prefix="select-") as scratch:
        notes = {RECIPE: recipe.to_yaml()}
        commit_tables(store, Path(scratch), table_name(name), rows, artifact, SELECTION, notes)
    return MadeSelection(recipe, choice, counts, inputs.unmarked)


def _facts(inputs: RecipeInputs, reader: FactReader) -> tuple[ChoiceFacts, Matched | None, DuplicateGroups | None]:
    """Read the facts of all shards, and the clips in tables of findings."""
    benchmarks = BenchmarkMatches(inputs.contamination) if inputs.contamination else None
    duplicates = None if inputs.duplicates is None else DuplicateGroups(inputs.duplicates)
    facts: list[ChoiceFacts] = []
    matches: list[NDArray[np.int32]] = []
    size = 0
    for shard, marks in zip(inputs.shards, inputs.marks(), strict=True):
        facts.append(reader.read(shard, marks))
        if benchmarks is not None:
            matches.append(benchmarks.numbers(shard, marks["key"]))
        if duplicates is not None:
            duplicates.add(shard, marks["key"], size)
        size += marks.num_rows
    matched = None if benchmarks is None else Matched(np.concatenate(matches), benchmarks.reasons)
    return ChoiceFacts.joined(facts), matched, duplicates


def _rows(inputs: RecipeInputs, choice: ClipChoice, counts: Counter[str]) -> Iterator[pa.Table]:
    """Yield the rows of the selection shard by shard, and add their figures to `counts`."""
    reasons, begin = pa.array(choice.reasons, pa.string()), 0
    for marks in inputs.marks():
        numbers = choice.numbers[begin : begin + marks.num_rows]
        begin += marks.num_rows
        own = reasons.take(pa.array(numbers, mask=numbers < 0))
        reason = pc.coalesce(marks["filter_reason"], own)
        columns = {
            "key": marks["key"],
            "shard": marks["shard"],
            "keep": pc.is_null(reason),
            "filter_reason": reason,
            "split": _splits(marks, inputs.recipe.val_percent),
        }
        table = pa.table(columns).cast(SELECTION)
        counts.update(mark_counts(table))
        yield table


def _splits(marks: pa.Table, val_percent: float | None) -> pa.ChunkedArray | pa.Array:
    """Return the splits: those to begin with, or new ones by hash of the video's id, which begins each key."""
    if val_percent is None:
        return marks["split"]
    videos = pc.dictionary_encode(pc.utf8_slice_codeunits(marks["key"].combine_chunks(), 0, 16))
    splits = [split_of(video, val_percent) for video in videos.dictionary.to_pylist()]
    return pa.array(splits, pa.string()).take(videos.indices)
