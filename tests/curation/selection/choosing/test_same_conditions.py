"""`inspect` and `export` take the conditions that `select` takes, with the same clips as the result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.curate_runs import curate
from support.shard_factory import LAYER

from shards.reader import read_table
from shards.selections.selection import table_name
from shards.storage.store import Store

CONDITIONS = (
    "motion > 0.05 and speech_seconds > 3",
    "match > 0.4",
    "text.motion > 0.1 and look.blur < 0.5",
    "video_license ilike 'cc%' and split = 'train'",
)


@pytest.mark.parametrize("where", CONDITIONS)
def test_the_clips_are_the_same(store: Store, tmp_path: Path, where: str) -> None:
    assert curate("select", store.root, "--name", "made", "--where", where).status == 0
    kept = {row["key"] for row in read_table(store, table_name("made")).to_pylist() if row["keep"]}
    assert kept
    flags = ("--format", "jsonl", "--output", tmp_path / "rows")
    assert curate("export", store.root, *flags, "--where", where).status == 0
    lines = [json.loads(line) for file in (tmp_path / "rows").glob("*.jsonl") for line in file.open()]
    assert {line["key"] for line in lines} == kept
    shown = curate("inspect", store.root, "--where", f"keep and ({where})", "--limit", "1000")
    assert f"{len(kept)} clip" in shown.out


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("key in (select content from read_text('/etc/hostname'))", "a query inside it"),
        ("mutch > 1", "no column 'mutch' (did you mean 'match'?)"),
        ("blur", "blur"),
    ],
)
def test_the_same_is_refused(store: Store, tmp_path: Path, where: str, words: str) -> None:
    ended = [
        curate("select", store.root, "--name", "made", "--where", where),
        curate("inspect", store.root, "--where", where),
        curate("export", store.root, "--format", "jsonl", "--output", tmp_path / "rows", "--where", where),
    ]
    said = [one.err for one in ended if one.status == 2]
    assert all(words in line for line in said) and len(said) == (1 if where == "blur" else 3), ended


def test_a_run_does_not_write_over_a_selection_that_has_a_recipe(store: Store) -> None:
    assert curate("select", store.root, "--name", "made", "--where", "match > 0.4").status == 0
    before = store.read_bytes(table_name("made"))
    flags = ("--layer", LAYER, "--stages", "select", "--select", "made", "--address", "local")
    ended = curate("run", "demo", "--output", store.root, *flags)
    assert ended.status == 2 and f"curate select {store.root} --name made" in ended.err
    assert store.read_bytes(table_name("made")) == before
