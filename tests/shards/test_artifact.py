"""The digest of a table: by its rows alone, piece by piece or at once, and as releases before computed it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.artifact import Artifact, RowsDigest, table_digest
from shards.errors import ShardError
from shards.plain_rows import plain_rows
from shards.reader import read_artifact, read_table
from shards.schema import SELECTION
from shards.storage.store import Store
from shards.writer import commit_table, commit_tables

ROWS = st.lists(st.fixed_dictionaries({"a": st.text(max_size=5), "b": st.none() | st.floats(allow_nan=False)}))


def plain_digest(table: pa.Table) -> str:
    """The whole table as one line of JSON."""
    line = json.dumps([table.column_names, table.to_pylist()], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema([("a", pa.string()), ("b", pa.float64())]))


@given(ROWS, st.integers(0, 20))
def test_the_digest_does_not_depend_on_the_pieces(rows: list[dict[str, Any]], cut: int) -> None:
    digest = RowsDigest(["a", "b"])
    digest.update(table_of(rows[:cut]))
    digest.update(table_of(rows[cut:]))
    assert digest.digest() == table_digest(table_of(rows)) == plain_digest(table_of(rows))


def test_a_long_table_has_the_digest_of_its_rows_at_once() -> None:
    table = table_of([{"a": str(number), "b": float(number)} for number in range(10_000)])
    assert table_digest(table) == plain_digest(table)


PLAIN = pa.schema(
    [("a", pa.string()), ("b", pa.dictionary(pa.int8(), pa.string())), ("c", pa.bool_()), ('d"é', pa.int64())]
)
TEXTS = st.none() | st.text('ab "\\\x00\x1f\x7f\n/é', max_size=4) | st.text("ab", max_size=2)
PLAIN_ROWS = st.lists(
    st.fixed_dictionaries(
        {"a": TEXTS, "b": TEXTS, "c": st.none() | st.booleans(), 'd"é': st.none() | st.integers(-(2**63), 2**63 - 1)}
    )
)


@given(PLAIN_ROWS)
def test_the_fast_way_for_plain_columns_gives_the_same_digest(rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, schema=PLAIN)
    assert table_digest(table) == plain_digest(table)


@pytest.mark.parametrize(("values", "is_fast"), [(["a", None], True), ([None], True), (["é"], False), (['"'], False)])
def test_plain_text_takes_the_fast_way(values: list[str | None], is_fast: bool) -> None:
    (batch,) = pa.table({"a": pa.array(values, pa.string())}).to_batches()
    assert (plain_rows(batch) is not None) == is_fast


def selection_rows(count: int) -> pa.Table:
    marks = {"shard": 0, "keep": True, "filter_reason": None, "split": "train"}
    return pa.Table.from_pylist([{"key": f"k{number}"} | marks for number in range(count)], schema=SELECTION)


def test_a_table_that_is_written_in_pieces_is_the_one_that_is_written_at_once(tmp_path: Path) -> None:
    store, table = Store(tmp_path / "dir"), selection_rows(50)
    one = commit_table(store, tmp_path, "selections/one.parquet", table, Artifact("select", "h"))
    pieces = (table.slice(first, 20) for first in range(0, 50, 20))
    two = commit_tables(store, tmp_path, "selections/two.parquet", pieces, lambda: Artifact("select", "h"), SELECTION)
    assert one == two == read_artifact(store, "selections/two.parquet")
    assert read_table(store, "selections/two.parquet").equals(read_table(store, "selections/one.parquet"))


def test_a_table_whose_pieces_break_the_schema_is_not_committed(tmp_path: Path) -> None:
    store = Store(tmp_path / "dir")
    pieces = [selection_rows(3), selection_rows(3).drop_columns(["split"])]
    with pytest.raises(ShardError, match="columns missing"):
        commit_tables(store, tmp_path, "selections/a.parquet", pieces, lambda: Artifact("select", "h"), SELECTION)
    assert not store.exists("selections/a.parquet")
    assert list(tmp_path.glob("commit-*")) == []
