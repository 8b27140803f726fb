"""Reading a finished DIR: `curate status`, `inspect`, `check`, `export`, and other tools."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pytest
import webdataset
from support.curate_runs import EXPECTED, FINISHED_SOURCES, TAGGER, curate, finished
from support.dir_contents import all_rows, assert_texts_hold, assert_trees_nest, latest_states
from support.fake_llm import FakeLLM
from support.model_replies import INVENTED, careful
from support.selections import marked_rows

from shards.manifest import read_manifest, read_stage
from shards.reader import read_table
from shards.storage.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store() -> Store:
    """The DIR of a finished run."""
    return finished().store


@pytest.fixture(scope="module")
def texts(store: Store) -> list[dict[str, Any]]:
    """Its text rows, with their marks."""
    return marked_rows(store.root, TAGGER)


# The DIR of a finished run


def test_every_source_ends_in_the_state_it_should(store: Store) -> None:
    found = {Path(row["source"]).name: (row["state"], row["class"]) for row in all_rows(store, "ledger")}
    assert found == EXPECTED


def test_sources_in_are_written_and_filtered_and_failed_and_pending(store: Store) -> None:
    assert latest_states(store) == {"written": 5, "filtered": 3, "failed": 3}


def test_the_dir_passes_its_check(store: Store) -> None:
    ended = curate("check", store.root)
    assert (ended.status, ended.err) == (0, "")
    assert "every row has its bytes" in ended.out


def test_levels_nest_and_all_three_arise(store: Store, texts: list[dict[str, Any]]) -> None:
    assert {row["level"] for row in texts} == {"short", "medium", "long"}
    assert_trees_nest(all_rows(store, "media"))


def test_texts_keep_only_what_is_supported(store: Store, texts: list[dict[str, Any]]) -> None:
    assert assert_texts_hold(store, TAGGER)["ok"] > 0
    invented = [claim for row in texts for claim in row["claims"] if claim["text"] == INVENTED]
    assert {claim["verdict"] for claim in invented} == {"unjudged"}


def test_the_books_of_a_dir_are_there(store: Store) -> None:
    manifest = read_manifest(store)
    assert manifest is not None
    assert (manifest.pipeline, manifest.videos_per_shard) == (TAGGER, 4)
    assert manifest.settings["media"]["video"]["encode"]["fps"] == 8
    assert read_table(store, "index.parquet")["shard"].to_pylist() == [0, 1, 2]
    folders = {"media": "media", f"captions/{TAGGER}": "caption", f"text/{TAGGER}": "rewrite"}
    for folder, stage in folders.items():
        mark = read_stage(store, folder)
        assert mark is not None and mark.stage == stage
    assert not (Path(store.root) / ".lock").exists()


def test_the_log_is_lines_of_json_from_start_to_end(store: Store) -> None:
    (path,) = (Path(store.root) / "log").glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["event"] == "start" and lines[0]["shards"] == {"media": 3, "caption": 3, "rewrite": 3, "select": 1}
    assert lines[-1]["event"] == "end" and lines[-1]["status"] == "done"
    media = lines[-1]["pools"]["media"]
    assert (media["done"], media["total"], media["failed"]) == (3, 3, {"not_video": 2, "corrupt": 1})
    assert media["counts"]["clips"] == len(all_rows(store, "media"))


def test_nothing_is_left_half_done(store: Store) -> None:
    left = [path for path in Path(store.root).rglob("*") if path.is_file() and ".scratch" in path.parts]
    assert left == []
    assert not list(Path(store.root).rglob(".tmp-*"))


# Status


def test_status_reconciles_the_ledger_and_shows_the_papers_figures_beside_ours(store: Store) -> None:
    ended = curate("status", store.root)
    assert ended.status == 0
    assert "11 in = 5 written + 3 filtered + 3 failed + 0 pending" in ended.out
    for words in ("not_video", "corrupt", "too_short", "duplicate", "excluded", f"layer {TAGGER}", "rewrite_status"):
        assert words in ended.out
    longs = [row for row in all_rows(store, "media") if row["level"] == "long"]
    mean = sum(row["end"] - row["start"] for row in longs) / len(longs)
    assert f"{mean:.1f} (60.3)" in ended.out
    assert "(142.1)" in ended.out


def test_status_counts_pending_sources(tmp_path: Path) -> None:
    done = finished().copy(tmp_path)
    (done / "media" / "0000001.parquet").unlink()
    assert "3 in" not in (ended := curate("status", done)).out
    assert " pending" in ended.out and "0 pending" not in ended.out


@pytest.mark.parametrize("damage", ["deleted", "damaged", "of other columns"])
def test_a_ledger_that_is_lost_is_named_and_made_again_by_the_next_run(tmp_path: Path, damage: str) -> None:
    done = finished().copy(tmp_path)
    ledger = done / "ledger" / "0000001.parquet"
    if damage == "deleted":
        ledger.unlink()
    elif damage == "damaged":
        ledger.write_bytes(b"PAR1 no")
    else:
        shutil.copy(done / FINISHED_SOURCES, ledger)
    ended = curate("status", done)
    assert (ended.status, ended.err) == (0, "")
    assert "0 pending" not in ended.out
    assert "ledger/0000001.parquet is missing or damaged" in ended.out
    with FakeLLM(careful) as llm:
        assert curate(*finished().arguments(done, llm), "--address", "local").status == 0
    assert latest_states(Store(done)) == {"written": 5, "filtered": 3, "failed": 3}


def test_names_that_look_like_markup_or_a_glob_are_taken_literally(tmp_path: Path) -> None:
    folder = tmp_path / "[bold]out[x]" / "[/bold]*"
    shutil.copytree(finished().dir, folder)
    for command in ("status", "inspect", "check"):
        assert curate(command, folder).status == 0
    for ended in (curate("check", folder, "--quick"), curate("inspect", folder, "--limit", "1")):
        assert str(folder) in ended.out
    assert str(folder) in curate(*finished().arguments(folder)).err


# Inspect


def test_inspect_shows_clips_in_order_of_time_with_their_texts(store: Store, texts: list[dict[str, Any]]) -> None:
    ended = curate("inspect", store.root, "--limit", "100")
    assert ended.status == 0
    at = [ended.out.index(row["key"]) for row in texts if row["level"] == "long"]
    assert at == sorted(at)
    assert all(row["key"] in ended.out for row in texts)
    assert f"{len(texts)} clips of layer {TAGGER}" in ended.out


@pytest.mark.parametrize("level", ["short", "medium", "long"])
def test_inspect_selects_a_level(store: Store, texts: list[dict[str, Any]], level: str) -> None:
    out = curate("inspect", store.root, "--level", level, "--limit", "100").out
    assert {row["key"] for row in texts if row["key"] in out} == {row["key"] for row in texts if row["level"] == level}


def test_inspect_of_one_key_shows_its_claims_and_evidence(store: Store, texts: list[dict[str, Any]]) -> None:
    row = next(row for row in texts if row["level"] == "long")
    out = curate("inspect", store.root, "--key", row["key"]).out
    assert re.search(f"unjudged +{re.escape(INVENTED)}", out)
    assert " supported  " in out
    assert row["claims"][0]["evidence"][0] in out
    assert "subtitle_origin" in out and "efficientnet-lite0" in out


def test_inspect_takes_a_condition_in_sql(store: Store, texts: list[dict[str, Any]]) -> None:
    out = curate("inspect", store.root, "--where", "level = 'short' and subtitle = ''", "--limit", "100").out
    wanted = {row["key"] for row in texts if row["level"] == "short" and not row["subtitle"]}
    assert wanted and {row["key"] for row in texts if row["key"] in out} == wanted


def test_inspect_asks_for_a_layer_if_there_are_several(tmp_path: Path) -> None:
    done = finished().copy(tmp_path)
    shutil.copytree(done / "text" / TAGGER, done / "text" / "two")
    ended = curate("inspect", done)
    assert ended.status == 2 and "name one of: small, two" in ended.err
    assert curate("inspect", done, "--layer", "two").status == 0


# Check


def test_check_lists_the_problems_with_status_1(tmp_path: Path) -> None:
    done = finished().copy(tmp_path)
    tar = done / "media" / "0000000.tar"
    tar.write_bytes(tar.read_bytes()[:-1024])
    (done / "captions" / TAGGER / "0000001.parquet").unlink()
    ended = curate("check", done, "--quick")
    assert ended.status == 1
    assert "media/0000000.tar: " in ended.out and "Traceback" not in ended.err


# Export, and other tools


@pytest.mark.parametrize("unit", ["clip", "root"])
def test_an_export_as_tars_is_read_by_stock_webdataset(
    store: Store, texts: list[dict[str, Any]], tmp_path: Path, unit: str
) -> None:
    ended = curate("export", store.root, "--format", "webdataset", "--unit", unit, "--output", tmp_path / "tars")
    assert ended.status == 0, ended.err
    tars = sorted(str(path) for path in (tmp_path / "tars").glob("*.tar"))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    wanted = {row["key"] for row in texts if row["keep"] and (unit == "clip" or row["parent_key"] is None)}
    assert {sample["__key__"] for sample in samples} == wanted
    assert all({"mp4", "jpg", "json"} <= set(sample) for sample in samples)
    seen = {row["key"] for row in texts if row["grounded_text"]}
    assert {sample["__key__"] for sample in samples if "txt" in sample} == wanted & seen
    assert f"{len(wanted)} samples" in ended.out


def test_an_export_as_lines_holds_every_column(store: Store, texts: list[dict[str, Any]], tmp_path: Path) -> None:
    ended = curate("export", store.root, "--format", "jsonl", "--all", "--output", tmp_path / "rows")
    assert ended.status == 0, ended.err
    lines = [line for path in sorted((tmp_path / "rows").glob("*.jsonl")) for line in path.read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    assert {row["key"] for row in rows} == {row["key"] for row in texts}
    assert set(rows[0]) >= set(texts[0])


def test_stock_webdataset_iterates_the_media_tars_themselves(store: Store) -> None:
    tars = [store.path(f"media/{name}") for name in store.list("media") if name.endswith(".tar")]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False))
    roots = {row["key"] for row in all_rows(store, "media") if row["parent_key"] is None}
    assert {sample["__key__"] for sample in samples} == roots
    assert all({"mp4", "json"} <= set(sample) for sample in samples)


def test_duckdb_and_pandas_read_the_text_tables(store: Store, texts: list[dict[str, Any]]) -> None:
    pattern = f"{store.root}/text/*/*.parquet"
    (count,) = duckdb.sql(f"select count(*) from '{pattern}' where claims is not null").fetchall()[0]
    assert count == len(texts)
    frame = pandas.concat(pandas.read_parquet(path) for path in sorted(Path(store.root).glob("text/*/*.parquet")))
    assert list(frame["key"]) == [row["key"] for row in texts]
