"""What is known of a video reaches tables, conditions and exports, joined by the key of the root."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.curate_runs import curate
from support.shard_factory import LAYER, build_dir

from shards.checks.check_dir import check
from shards.export.export_samples import export
from shards.export.export_selection import ExportSelection
from shards.reader import read_table
from shards.schema import VIDEOS
from shards.storage.store import Store
from shards.writer import Artifact, commit_table

TITLES = ("A ball", "Ein Würfel 🎲", "Nothing")


def _known(number: int) -> dict[str, Any]:
    return {
        "video_title": TITLES[number],
        "video_license": "CC BY" if number == 0 else None,
        "video_uploader": f"Uploader {number}",
        "video_upload_date": "20200229",
        "video_url": f"https://example.org/{number}",
        "video_duration": 31.5,
        "video_tags": ["toys", f"t{number}"],
        "carried": json.dumps({"topic": number, "place": {"x": [1]}}),
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two shards; the videos of the first are known, one row a root."""
    folder = tmp_path_factory.mktemp("videos")
    store = build_dir(folder / "dir", shards=2, videos_per_shard=2)
    clips = read_table(store, "media/0000000.parquet", ["root_key", "source"]).to_pylist()
    roots = {row["root_key"]: int(row["source"].rpartition("-")[2]) for row in clips}
    rows = [{"root_key": root, **_known(number)} for root, number in roots.items()]
    commit_table(store, folder, "videos/0000000.parquet", pa.Table.from_pylist(rows, schema=VIDEOS), Artifact("m", ""))
    return store


def _lines(store: Store, output: Path, where: str | None = None) -> list[dict[str, Any]]:
    export(store, ExportSelection(LAYER, where=where, keep_only=False), format="jsonl", output=output)
    return [json.loads(line) for path in sorted(output.glob("*.jsonl")) for line in path.open(encoding="utf-8")]


def test_a_table_of_clips_is_joined_by_the_key_of_its_root(store: Store) -> None:
    query = f"""select source, video_title, carried ->> 'topic' as topic
        from '{store.root}/text/{LAYER}/0000000.parquet' join '{store.root}/videos/*.parquet' using (root_key)"""
    rows = set(duckdb.sql(query).fetchall())
    assert rows == {(f"https://example.org/0-{n}", TITLES[n], str(n)) for n in (0, 1)}


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("video_license = 'CC BY'", {"0-0"}),
        ("video_title like '%🎲%'", {"0-1"}),
        ("list_contains(video_tags, 't1') and level = 'long'", {"0-1"}),
        ("video_upload_date < '2021'", {"0-0", "0-1"}),
        ("video_title is null", {"1-0", "1-1"}),
    ],
)
def test_a_condition_names_what_is_known_of_the_video(
    store: Store, tmp_path: Path, where: str, numbers: set[str]
) -> None:
    wanted = {f"https://example.org/{number}" for number in numbers}
    assert {line["source"] for line in _lines(store, tmp_path / "rows", where)} == wanted
    shown = curate("inspect", store.root, "--where", where, "--limit", "1000")
    assert shown.status == 0, shown.err
    assert {line.split()[-1] for line in shown.out.splitlines() if line.startswith("  source ")} == wanted


def test_a_line_has_it_and_what_the_manifest_carried_is_an_object(store: Store, tmp_path: Path) -> None:
    lines = _lines(store, tmp_path / "rows")
    known = [line for line in lines if line["source"].endswith("0-1")]
    assert known and all(line["video_title"] == TITLES[1] and line["video_license"] is None for line in known)
    assert all(line["carried"] == {"topic": 1, "place": {"x": [1]}} for line in known)
    assert all(line["video_tags"] == ["toys", "t1"] for line in known)
    assert all((line["video_uploader"], line["video_upload_date"]) == ("Uploader 1", "20200229") for line in known)
    unknown = [line for line in lines if "/1-" in line["source"]]
    assert unknown and all(line["video_title"] is None and line["carried"] is None for line in unknown)


@pytest.mark.parametrize("unit", ["clip", "root"])
def test_a_sample_and_the_table_beside_its_tar_have_it(store: Store, tmp_path: Path, unit: Any) -> None:
    where = "video_license = 'CC BY'"
    export(store, ExportSelection(LAYER, unit, where, keep_only=False), format="webdataset", output=tmp_path / "tars")
    with tarfile.open(tmp_path / "tars" / "00000.tar") as tar:
        facts = [json.load(tar.extractfile(m)) for m in tar.getmembers() if m.name.endswith(".json")]  # type: ignore[arg-type]
    assert facts and all(f["video_url"] == "https://example.org/0" and f["carried"]["topic"] == 0 for f in facts)
    table = pq.read_table(tmp_path / "tars" / "00000.parquet")
    assert table["video_title"].to_pylist() == ["A ball"] * len(facts)
    assert table["carried"].to_pylist() == [_known(0)["carried"]] * len(facts)


def test_the_check_names_a_root_without_a_row_a_row_without_a_root_and_a_second_row(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    roots = list(dict.fromkeys(read_table(store, "media/0000000.parquet", ["root_key"])["root_key"].to_pylist()))

    def problems(keys: list[str]) -> list[str]:
        rows = pa.Table.from_pylist([{"root_key": key} for key in keys], schema=VIDEOS)
        commit_table(store, tmp_path, "videos/0000000.parquet", rows, Artifact("media", "media-hash"))
        return [problem.what for problem in check(store, decode=False) if problem.where == "videos/0000000.parquet"]

    assert problems(roots) == []
    assert problems([*roots[1:], "other"]) == [f"{roots[0]}: has no row", "other: is no root of the shard"]
    assert problems([*roots, roots[0]]) == [f"{roots[0]}: has 2 rows"]
