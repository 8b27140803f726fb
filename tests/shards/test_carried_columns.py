"""A condition can name the columns of the manifest, in `inspect` and in `export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.curate_runs import curate
from support.damaged_dirs import SOURCES_NAME, rewrite_table
from support.shard_factory import LAYER, build_dir

from shards.export.export_samples import export
from shards.export.export_selection import ExportSelection
from shards.reader import read_table
from shards.storage.store import Store

CARRIED = [
    {"Licence": "CC BY", "views": 10, "level": "A1", "od d'": True, "mixed": 1, "place": {"x": [1]}},
    {"Licence": "all rights", "views": 2000, "level": "B2", "od d'": False, "mixed": "one", "place": None},
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two videos in each of two shards; the second shard's second one carries nothing."""
    store = build_dir(tmp_path_factory.mktemp("carried") / "dir", shards=2, videos_per_shard=2)

    def carry(rows: list[Any]) -> None:
        for row in rows:
            number = row["source"].rpartition("-")[2]
            if row["verdict"] is None and number in "01" and not (row["shard"] == 1 and number == "1"):
                row["carried"] = json.dumps(CARRIED[int(number)])

    rewrite_table(store, SOURCES_NAME, carry)
    return store


CONDITIONS = {
    "licence = 'CC BY'": {"0-0", "1-0"},
    "views > 100": {"0-1"},
    "views is null": {"1-1"},
    "carried_level = 'A1' and level = 'long'": {"0-0", "1-0"},
    '"od d\'" and keep': {"0-0", "1-0"},
    "mixed = 'one'": {"0-1"},
    "place.x[1] = 1": {"0-0", "1-0"},
    "level in ('short', 'medium', 'long')": {"0-0", "0-1", "1-0", "1-1"},
}


@pytest.mark.parametrize("where", CONDITIONS)
def test_a_condition_selects_by_what_the_manifest_says(store: Store, tmp_path: Path, where: str) -> None:
    wanted = {f"https://example.org/{name}" for name in CONDITIONS[where]}
    export(store, ExportSelection(LAYER, where=where, keep_only=False), format="jsonl", output=tmp_path / "rows")
    lines = [json.loads(line) for path in (tmp_path / "rows").glob("*.jsonl") for line in path.open()]
    assert {line["source"] for line in lines} == wanted
    shown = curate("inspect", store.root, "--where", where, "--limit", "1000")
    assert shown.status == 0, shown.err
    assert {line.split()[-1] for line in shown.out.splitlines() if line.startswith("  source ")} == wanted
    assert shown.out.count("\n  source ") == len(lines)


def test_what_is_carried_is_not_added_to_the_rows(store: Store, tmp_path: Path) -> None:
    columns = read_table(store, f"text/{LAYER}/0000000.parquet").column_names
    export(store, ExportSelection(LAYER, where="views > 0"), format="jsonl", output=tmp_path / "rows")
    line = json.loads((tmp_path / "rows" / "0000000.jsonl").read_text().splitlines()[0])
    assert set(columns) <= set(line) and "views" not in line


def test_spans_of_one_video_keep_their_own_columns(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    starts = sorted({row["start"] for row in read_table(store, f"text/{LAYER}/0000000.parquet").to_pylist()})
    middle = starts[len(starts) // 2]

    def split(rows: list[Any]) -> None:
        first = rows[0]
        rows.append({**first, "start": middle, "carried": json.dumps({"event": "second"})})
        first |= {"end": middle, "carried": json.dumps({"event": "first"})}

    rewrite_table(store, "sources/0000000-0000000.parquet", split)
    for event, begins in (("first", [at for at in starts if at < middle]), ("second", starts[len(starts) // 2 :])):
        output = tmp_path / event
        selection = ExportSelection(LAYER, where=f"event = '{event}'", keep_only=False)
        export(store, selection, format="jsonl", output=output)
        lines = [json.loads(line) for line in (output / "0000000.jsonl").open()]
        assert sorted({line["start"] for line in lines}) == begins


def test_an_unknown_column_is_named_beside_those_there_are(store: Store) -> None:
    ended = curate("inspect", store.root, "--where", "viewz > 1")
    assert ended.status == 2 and "viewz" in ended.err and "views" in ended.err
