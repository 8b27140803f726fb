"""The marks of clips come from one selection, whatever reads them; without any there is one clear error."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import duckdb
import pytest
from support.selections import as_version_1, marked_rows, marks_of, select, write_selection
from support.shard_factory import LAYER, add_shard, build_dir

from shards.artifact import Artifact
from shards.dataset import Dataset
from shards.errors import ShardError
from shards.index import rebuild_index
from shards.reader import read_table
from shards.schema import INDEX
from shards.selections.marked_sql import marked_clips
from shards.selections.marked_texts import find_selection, read_texts, selection_of
from shards.selections.selection import MARKS, Selection, selections
from shards.storage.store import Store
from shards.writer import commit_table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return build_dir(tmp_path / "dir", shards=3, val_percent=50)


def read(store: Store, name: str | None = None) -> list[dict[str, Any]]:
    """All rows of the layer with their marks, shard by shard."""
    selection = selection_of(store, LAYER, name)
    return [row for shard in range(3) for row in read_texts(store, LAYER, shard, selection).to_pylist()]


def test_texts_are_joined_with_their_marks_by_key_in_the_order_of_the_texts(store: Store) -> None:
    expected = marked_rows(store.root, LAYER)
    assert read(store) == expected
    rows = read_table(store, f"selections/{LAYER}.parquet").to_pylist()
    write_selection(store, LAYER, sorted(rows, key=lambda row: row["key"], reverse=True))
    assert read(store) == expected


def test_columns_come_in_the_order_asked_for(store: Store) -> None:
    dataset = Dataset(store.root, LAYER)
    for columns in (["split", "subtitle", "keep"], ["keep"], ["level", "start"], ["filter_reason", "key"]):
        table = dataset.texts(1, columns)
        assert table.column_names == columns
        assert table.to_pylist() == [{name: row[name] for name in columns} for row in dataset.texts(1).to_pylist()]


def test_a_named_selection_wins_over_that_of_the_layer(store: Store) -> None:
    select(store, LAYER, val_percent=0, name="all_train")
    assert {row["split"] for row in read(store, "all_train")} == {"train"}
    assert {row["split"] for row in read(store)} == {"train", "val"}
    assert selections(store) == ["all_train", LAYER]


def test_a_layer_of_version_1_is_read_with_its_own_marks(store: Store) -> None:
    expected = [{name: row[name] for name in ("key", *MARKS)} for row in marked_rows(store.root, LAYER)]
    as_version_1(store, LAYER)
    assert selection_of(store, LAYER) is None
    assert [{name: row[name] for name in ("key", *MARKS)} for row in read(store)] == expected


def test_a_selection_wins_over_the_marks_of_version_1(store: Store) -> None:
    as_version_1(store, LAYER)
    select(store, LAYER, val_percent=100)
    assert {row["split"] for row in read(store)} == {"val"}
    assert len(Dataset(store.root, LAYER).texts(0).column_names) == len(
        set(Dataset(store.root, LAYER).texts(0).column_names)
    )


def test_a_layer_without_any_marks_is_refused_with_the_command_that_makes_them(store: Store) -> None:
    store.delete(f"selections/{LAYER}.parquet")
    for open_layer in (lambda: selection_of(store, LAYER), lambda: Dataset(store.root, LAYER)):
        with pytest.raises(ShardError, match=rf"no selection marks.*'{LAYER}'.*--layer {LAYER} --stages select"):
            open_layer()


def test_a_selection_that_is_not_there_is_refused_with_those_that_are(store: Store) -> None:
    with pytest.raises(ShardError, match=rf"--select strict: .* no such selection \(there are: {LAYER}\)"):
        Dataset(store.root, LAYER, "strict")


def test_the_table_of_another_stage_is_no_selection(store: Store, tmp_path: Path) -> None:
    commit_table(store, tmp_path, "selections/counts.parquet", INDEX.empty_table(), Artifact("counts", "h"), INDEX)
    assert selections(store) == [LAYER]
    with pytest.raises(ShardError, match="a table of the stage counts, not a selection"):
        find_selection(store, LAYER, "counts")


def test_a_selection_that_lacks_a_clip_is_refused_with_the_remedy(store: Store) -> None:
    write_selection(store, LAYER, read_table(store, f"selections/{LAYER}.parquet").to_pylist()[1:])
    with pytest.raises(ShardError, match=r"lacks 1 of the \d+ clips of text/.*--stages select"):
        read(store)


def test_shards_that_are_newer_than_the_selection_are_left_out_and_known(store: Store, tmp_path: Path) -> None:
    add_shard(store, tmp_path, 3)
    rebuild_index(store)
    dataset = Dataset(store.root, LAYER)
    assert (dataset.shards, dataset.unmarked_shards) == ([0, 1, 2], [3])
    select(store, LAYER)
    assert (Dataset(store.root, LAYER).shards, Dataset(store.root, LAYER).unmarked_shards) == ([0, 1, 2, 3], [])


def test_a_selection_that_is_made_again_while_it_is_read_is_noticed(store: Store) -> None:
    dataset = Dataset(store.root, LAYER)
    dataset.texts(0)
    select(store, LAYER, val_percent=100)
    with pytest.raises(ShardError, match="was made again while it was read"):
        dataset.texts(1)


def test_a_dataset_with_its_selection_can_be_sent_to_another_process(store: Store) -> None:
    dataset = Dataset(store.root, LAYER)
    assert pickle.loads(pickle.dumps(dataset)).texts(2).equals(dataset.texts(2))


def test_another_choice_of_clips_has_another_digest_and_the_same_choice_the_same(store: Store) -> None:
    one = Selection.open(store, LAYER).digest
    select(store, LAYER, val_percent=50)
    assert Selection.open(store, LAYER).digest == one
    select(store, LAYER, val_percent=51)
    rows = [marks_of(row, 50) | {"keep": False, "filter_reason": "x"} for row in marked_rows(store.root, LAYER)]
    write_selection(store, LAYER, rows)
    assert Selection.open(store, LAYER).digest != one


@pytest.mark.parametrize("version", [1, 2])
def test_sql_sees_the_same_marks(store: Store, version: int) -> None:
    if version == 1:
        as_version_1(store, LAYER)
    files = [store.path(f"text/{LAYER}/{shard:07d}.parquet") for shard in range(3)]
    clips = marked_clips(duckdb.connect(), files, find_selection(store, LAYER))
    found = {row[0]: row[1:] for row in clips.select("key", *MARKS).fetchall()}
    assert found == {row["key"]: tuple(row[mark] for mark in MARKS) for row in read(store)}


def test_clips_that_nothing_marks_have_null_marks_in_sql(store: Store) -> None:
    files = [store.path(f"text/{LAYER}/0000000.parquet")]
    clips = marked_clips(duckdb.connect(), files, None)
    assert set(clips.select(*MARKS).fetchall()) == {(None, None, None)}


def test_the_footer_of_a_selection_is_parsed_once_for_all_shards(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    selection = selection_of(store, LAYER)
    assert selection is not None
    parsed: list[str | bytes] = []
    parse = Artifact.from_json
    monkeypatch.setattr(Artifact, "from_json", lambda text: (parsed.append(text), parse(text))[1])
    assert sum(selection.rows(shard).num_rows for shard in range(3)) == len(read(store))
    assert len(parsed) <= 2  # once for the rows, once for the selection that `read` opens
