from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.damaged_dirs import (
    CAPTIONS_NAME,
    LEDGER_NAME,
    MEDIA,
    SCHEMAS,
    SOURCES_NAME,
    TEXT_NAME,
    a_value,
    assert_reported,
    other_value,
    recommit_table,
    rewrite_table,
    setting,
)
from support.shard_factory import LAYER, add_shard

from shards.checks.check_dir import check
from shards.index import rebuild_index
from shards.manifest import StageMark, write_stage
from shards.reader import read_table
from shards.storage.store import Store


def test_a_dir_that_curate_made_has_no_problem(store: Store) -> None:
    assert check(store) == []


def test_a_dir_in_an_object_store_has_no_problem(store: Store, tmp_path: Path) -> None:
    remote = Store(f"memory://{tmp_path.name}")
    for path in Path(store.root).rglob("*"):
        if path.is_file():
            remote.commit_bytes(path.read_bytes(), str(path.relative_to(store.root)))
    assert check(remote) == []


def test_progress_is_reported_shard_by_shard(store: Store) -> None:
    calls = []
    check(store, decode=False, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("name", "column"),
    [(name, column) for name, schema in SCHEMAS.items() for column in schema.names],
)
def test_any_changed_value_of_any_table_is_reported(store: Store, name: str, column: str) -> None:
    def change(rows: list[Any]) -> None:
        for row in rows:
            if row[column] is not None:
                row[column] = other_value(row[column])
                return
        rows[0][column] = a_value(SCHEMAS[name].field(column).type)

    rewrite_table(store, name, change)
    assert_reported(store, name, "digest differs", decode=False)


@pytest.mark.parametrize("name", [MEDIA, LEDGER_NAME, CAPTIONS_NAME, TEXT_NAME, SOURCES_NAME, "index.parquet"])
@pytest.mark.parametrize("damage", ["cut short", "overwritten"])
def test_a_damaged_table_is_reported(store: Store, name: str, damage: Callable[[Path], object]) -> None:
    data = store.read_bytes(name)
    store.commit_bytes(data[: len(data) // 2] if damage == "cut short" else b"what" * 100, name)
    assert_reported(store, name, "not a readable Parquet file", decode=False)


@pytest.mark.parametrize(
    "name",
    [
        LEDGER_NAME,
        "index.parquet",
        "manifest.json",
        "media/_stage.json",
        f"text/{LAYER}/_stage.json",
    ],
)
def test_a_file_that_is_gone_is_reported(store: Store, name: str) -> None:
    store.delete(name)
    assert_reported(store, name, "is missing", decode=False)


@pytest.mark.parametrize("name", ["manifest.json", "media/_stage.json", f"text/{LAYER}/_stage.json"])
def test_a_damaged_record_is_named_once(store: Store, name: str) -> None:
    store.commit_bytes(b"{", name)
    (problem,) = [problem for problem in check(store, decode=False) if problem.where == name]
    assert problem.what.startswith("damaged (")
    assert name not in problem.what


@pytest.mark.parametrize(
    "name",
    ["media/notes.txt", "media/1.parquet", "keyframes/0000000.zip", "text/0000000.parquet", f"text/{LAYER}/a.parquet"],
)
def test_a_file_that_does_not_belong_is_reported(store: Store, name: str) -> None:
    store.commit_bytes(b"what", name)
    assert_reported(store, name, "does not belong here", decode=False)


def test_files_of_an_interrupted_run_are_no_problem(store: Store) -> None:
    for name in ("media/0000002.tar", "keyframes/0000002.tar", "ledger/0000002.parquet", "media/.tmp-1-x"):
        store.commit_bytes(b"half", name)
    assert check(store) == []


def test_texts_without_their_media_are_reported(store: Store) -> None:
    store.delete(MEDIA)
    rebuild_index(store)
    assert_reported(store, TEXT_NAME, "no committed media", decode=False)
    assert_reported(store, CAPTIONS_NAME, "no committed media", decode=False)


def test_captions_made_from_other_media_are_reported(store: Store, tmp_path: Path) -> None:
    recommit_table(store, tmp_path, MEDIA, setting("motion", 0.2))
    assert_reported(store, CAPTIONS_NAME, "was made from another media", decode=False)
    assert_reported(store, TEXT_NAME, "was made from another media", decode=False)


def test_texts_made_from_other_captions_are_reported(store: Store, tmp_path: Path) -> None:
    recommit_table(store, tmp_path, CAPTIONS_NAME, setting("text", "another"))
    assert_reported(store, TEXT_NAME, "was made from another captions", decode=False)


def test_a_folder_of_two_hashes_is_reported(store: Store) -> None:
    write_stage(store, f"text/{LAYER}", StageMark("rewrite", "another"))
    assert_reported(store, TEXT_NAME, "made with other settings", decode=False)


def test_a_key_in_two_shards_is_reported(store: Store, tmp_path: Path) -> None:
    def change(rows: list[Any]) -> None:
        other = read_table(store, "media/0000001.parquet").to_pylist()[0]
        rows[0]["key"] = other["key"]

    recommit_table(store, tmp_path, MEDIA, change)
    assert_reported(store, MEDIA, "is in another shard, too", decode=False)
    assert_reported(store, "media/0000001.parquet", "is in another shard, too", decode=False)


def test_an_index_of_other_media_is_reported(store: Store, tmp_path: Path) -> None:
    add_shard(store, tmp_path, 1, videos=1)
    assert_reported(store, "index.parquet", "does not agree with the media of shard 1", decode=False)


def test_of_a_file_with_many_problems_the_first_are_listed_and_the_rest_counted(store: Store, tmp_path: Path) -> None:
    def change(rows: list[Any]) -> None:
        for row in rows:
            row.update(shard=9, motion=2.0, speech_seconds=-1.0)

    recommit_table(store, tmp_path, MEDIA, change)
    found = [problem.what for problem in check(store, decode=False) if problem.where == MEDIA]
    assert len(found) <= 22
    assert any(what.startswith("and ") and "more like these" in what for what in found)


@pytest.mark.parametrize("name", [*SCHEMAS, "index.parquet"])
def test_a_table_with_other_columns_is_reported(store: Store, name: str) -> None:
    metadata = pq.read_schema(store.path(name)).metadata
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), store.path(name))
    assert_reported(store, name, "columns are not those of the schema", decode=False)
