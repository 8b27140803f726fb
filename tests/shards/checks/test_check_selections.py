"""`check` compares a selection with the clips, with itself, and with the tables it was made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.damaged_dirs import (
    SELECTION_NAME,
    TEXT_NAME,
    assert_reported,
    problems_of,
    recommit_table,
    rewrite_table,
    setting,
)
from support.selections import as_version_1, marks_of, write_selection
from support.shard_factory import LAYER, build_dir

from shards.reader import read_table
from shards.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return build_dir(tmp_path / "dir", shards=2)


def first_video(rows: list[Any]) -> None:
    rows[0]["split"] = "val" if rows[0]["split"] == "train" else "train"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (setting("split", "test"), "split 'test' is none of"),
        (setting("keep", False), "filter_reason must be given exactly"),
        (setting("filter_reason", "dull"), "filter_reason must be given exactly"),
        (setting("key", "what"), "is no clip of its shards"),
        (setting("key", "what"), "has no row"),
        (lambda rows: rows.append(rows[0]), "has several rows"),
        (lambda rows: rows.pop(), "has no row"),
        (first_video, "is in another split than other clips of its video"),
    ],
)
def test_a_wrong_row_is_reported(store: Store, tmp_path: Path, change: Callable[[list[Any]], Any], words: str) -> None:
    recommit_table(store, tmp_path, SELECTION_NAME, change)
    assert_reported(store, SELECTION_NAME, words, decode=False)


@pytest.mark.parametrize("column", ["keep", "filter_reason", "split", "shard"])
def test_a_value_that_was_changed_after_the_commit_is_reported(store: Store, column: str) -> None:
    values = {"keep": False, "filter_reason": "x", "split": "val", "shard": 1}
    rewrite_table(store, SELECTION_NAME, setting(column, values[column]))
    assert_reported(store, SELECTION_NAME, "digest differs", decode=False)


def test_a_selection_of_other_texts_than_the_present_ones_is_reported(store: Store, tmp_path: Path) -> None:
    recommit_table(store, tmp_path, TEXT_NAME, setting("caption", "another"))
    assert_reported(store, SELECTION_NAME, f"was made from another {TEXT_NAME}", decode=False)


def test_every_selection_is_checked_and_other_files_do_not_belong_there(store: Store) -> None:
    rows = [marks_of(row, 1.0) for row in read_table(store, TEXT_NAME).to_pylist()]
    write_selection(store, LAYER, rows, "half")
    store.commit_bytes(b"x", "selections/notes.txt")
    store.commit_bytes(b"x", "selections/damaged.parquet")
    assert_reported(store, "selections/half.parquet", "has no row", decode=False)
    assert_reported(store, "selections/notes.txt", "does not belong here", decode=False)
    assert_reported(store, "selections/damaged.parquet", "not a readable Parquet file", decode=False)


def test_a_dir_of_schema_version_1_is_intact_and_its_marks_are_checked(store: Store) -> None:
    as_version_1(store, LAYER)
    assert problems_of(store, decode=False) == set()
    rewrite_table(store, TEXT_NAME, setting("split", "test"))
    assert_reported(store, TEXT_NAME, "split 'test' is none of", decode=False)
