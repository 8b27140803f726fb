"""`curate select`: flags, recipes in files, the state of selections, and mistakes that end with one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.choices import clips_of, write_findings
from support.curate_runs import curate
from support.damaged_dirs import TEXT_NAME, recommit_table, setting
from support.dir_contents import snapshot
from support.selections import select
from support.shard_factory import LAYER, add_shard, build_dir

from shards.index import rebuild_index
from shards.reader import read_table
from shards.selections.selection import table_name
from shards.storage.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(build_dir(tmp_path_factory.mktemp("made") / "dir", shards=2, videos_per_shard=3).root)


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    """A DIR of one's own."""
    shutil.copytree(made, tmp_path / "dir")
    return Store(tmp_path / "dir")


def kept(store: Store, name: str) -> set[str]:
    return {row["key"] for row in read_table(store, table_name(name)).to_pylist() if row["keep"]}


def test_flags_make_a_selection_and_show_what_each_condition_takes_away(store: Store) -> None:
    before = snapshot(Path(store.root))
    flags = ["--where", "level <> 'long'", "--top", "9:start", "--balance", "level:8", "--sample", "0.9:video"]
    ended = curate("select", store.root, "--name", "some", *flags, "--seed", "1", "--val-percent", "50")
    assert ended.status == 0, ended.err
    assert set(snapshot(Path(store.root))) - set(before) == {table_name("some")}
    for words in (
        "where: level <> 'long'",
        "balance: level, at most 8 of each",
        "top: 9 with the largest start",
        "sample: 0.9 of all videos",
        "in order",
    ):
        assert words in ended.out, ended.out
    assert f"keeps {len(kept(store, 'some'))} of {len(clips_of(store))} clips" in ended.out


def test_a_printed_recipe_repeats_the_selection_under_another_name(store: Store, tmp_path: Path) -> None:
    curate("select", store.root, "--name", "some", "--where", "start < 20", "--top", "6:start:smallest")
    recipe = tmp_path / "some.yaml"
    recipe.write_text(curate("select", store.root, "--print-recipe", "some").out, encoding="utf-8")
    assert curate("select", store.root, "--name", "again", "--recipe", recipe).status == 0
    tables = [read_table(store, table_name(name)) for name in ("some", "again")]
    assert tables[0].equals(tables[1]) and len(kept(store, "some")) == 6
    first = store.read_bytes(table_name("some"))
    assert curate("select", store.root, "--recipe", recipe).status == 0
    assert store.read_bytes(table_name("some")) == first


def test_a_selection_is_out_of_date_after_a_shard_was_added_until_it_is_made_again(
    store: Store, tmp_path: Path
) -> None:
    curate("select", store.root, "--name", "some", "--where", "start < 20")
    curate("select", store.root, "--name", "less", "--from", "some", "--where", "level = 'short'")
    assert curate("select", store.root).out.count("up to date") == 3
    add_shard(store, tmp_path, 2)
    rebuild_index(store)
    select(store, LAYER)
    for shown in (curate("select", store.root).out, curate("status", store.root).out):
        assert shown.count("out of date") == 2 and "changed" in shown
    refused = curate("select", store.root, "--name", "less")
    assert refused.status == 2 and "curate select" in refused.err and "--name some" in refused.err
    assert curate("select", store.root, "--refresh").status == 0
    assert curate("select", store.root).out.count("up to date") == 3
    assert {clip["shard"] for clip in clips_of(store) if clip["key"] in kept(store, "less")} == {0, 1, 2}
    assert "nothing to do" in curate("select", store.root, "--refresh").out


def test_check_reports_a_selection_of_other_tables_than_the_present_ones(store: Store, tmp_path: Path) -> None:
    write_findings(store, "duplicates", "all", [])
    curate("select", store.root, "--name", "some", "--where", "start < 20", "--dedup", "all")
    assert curate("check", store.root, "--quick").status == 0
    shards = clips_of(store)[0]
    write_findings(store, "duplicates", "all", [shards | {"group": shards["key"]}])
    shown = curate("check", store.root, "--quick")
    assert shown.status == 1 and "some.parquet: was made from another duplicates/all.parquet" in shown.out
    assert curate("check", store.root, "--quick", "--select", LAYER).status == 0
    recommit_table(store, tmp_path, TEXT_NAME, setting("caption", "another"))
    assert f"was made from another {TEXT_NAME}" in curate("check", store.root, "--quick").out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--name", "../x", "--where", "true"], "--name '../x': use letters"),
        (["--name", "a/b", "--where", "true"], "--name 'a/b': use letters"),
        (["--name", LAYER, "--where", "true"], "is the name of a selection that `curate run` makes"),
        (["--name", "new"], "no such selection yet; add conditions"),
        (["--where", "true"], "--where: needs --name"),
        (["--name", "new", "--from", "new"], "--from new: begins with new itself"),
        (["--name", "new", "--layer", "groundet", "--where", "true"], "no such text layer (did you mean"),
        (["--name", "new", "--top", "start:3"], "--top start:3: write it as N:COLUMN"),
        (["--name", "new", "--balance", "level"], "--balance level: write it as COLUMN:N"),
        (["--name", "new", "--sample", "half"], "--sample half: give a number of clips, or a share"),
        (["--name", "new", "--sample", "1.5"], "sample.share=1.5"),
        (["--name", "new", "--sample", "5:roots"], "sample.unit='roots'"),
        (["--name", "new", "--val-percent", "101"], "val_percent=101.0"),
        (["--name", "new", "--where", "read_text('/etc/passwd') > ''"], "--where "),
        (["--refresh", "--where", "true"], "leave out the conditions"),
        (["--print-recipe", "new"], "no such selection yet"),
        (["--print-recipe", LAYER], "was made by `curate run`, and has no recipe"),
        (["--recipe", "none.yaml", "--where", "true"], "--recipe and --where"),
        (["--name", "new", "--recipe", "none.yaml"], "none.yaml"),
    ],
)
def test_mistakes_end_with_one_line_and_nothing_is_written(store: Store, flags: list[str], words: str) -> None:
    before = snapshot(Path(store.root))
    ended = curate("select", store.root, *flags)
    assert ended.status == 2 and ended.err.count("\n") == 1, ended.err
    assert words in ended.err
    assert snapshot(Path(store.root)) == before


def test_a_circle_of_selections_is_refused(store: Store) -> None:
    curate("select", store.root, "--name", "one", "--where", "start > 0")
    curate("select", store.root, "--name", "two", "--from", "one", "--where", "start > 1")
    ended = curate("select", store.root, "--name", "one", "--from", "two", "--where", "start > 2")
    assert ended.status == 2 and "--from two: begins with one itself" in ended.err


def test_a_recipe_with_an_unknown_key_is_refused_with_the_nearest(store: Store, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: new\nlayer: grounded\nwhen: start > 3\ntop: {number: 3, by: start}\n")
    ended = curate("select", store.root, "--recipe", tmp_path / "r.yaml")
    assert ended.status == 2 and "when: no such setting (did you mean 'where'?)" in ended.err


def test_a_folder_that_no_run_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    assert "no such folder, or nothing in it" in curate("select", tmp_path / "dir").err
    (tmp_path / "dir" / "x.txt").write_text("x")
    assert "this is no folder that `curate run` wrote" in curate("select", tmp_path / "dir", "--name", "x").err
