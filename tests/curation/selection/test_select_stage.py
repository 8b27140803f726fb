"""The select stage over whole DIRs: seconds, no model, no Ray; texts of any schema version stay as they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support.curate_runs import TAGGER, curate, finished
from support.dir_contents import snapshot
from support.selections import marked_rows

from curation.command_line import command_parser
from curation.plan import RunPlan, make_plan
from curation.run_request import RunRequest
from shards.keys import split_of
from shards.manifest import read_manifest
from shards.reader import read_artifact, read_table
from shards.storage.store import Store

pytestmark = pytest.mark.slow

ARCHIVE = Path(__file__).parents[2] / "data" / "made_by_0.1.0.tar.xz"
TABLE = f"selections/{TAGGER}.parquet"
STILL = ("--set", "filters.min_motion=0.9")


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A finished DIR of its own."""
    return finished().copy(tmp_path)


def plan(output: Path, *extra: str) -> RunPlan:
    arguments = [str(argument) for argument in (*finished().arguments(output), *extra)]
    return make_plan(RunRequest.of(command_parser().parse_args(arguments)))


def todo(found: RunPlan) -> dict[str, list[int]]:
    return {name: list(shards) for name, shards in found.todo.items() if shards}


def changed(before: dict[str, tuple[str, int]], after: dict[str, tuple[str, int]]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_a_run_ends_with_the_selection_of_all_clips(done: Path) -> None:
    store = Store(done)
    rows, clips = read_table(store, TABLE).to_pylist(), marked_rows(done, TAGGER)
    assert [row["key"] for row in rows] == [clip["key"] for clip in clips]
    assert [row["split"] for row in rows] == [split_of(clip["video_id"]) for clip in clips]
    assert all(row["keep"] == (row["filter_reason"] is None) for row in rows)
    record = read_artifact(store, TABLE)
    assert record.counts["clips"] == len(rows)
    assert record.counts["kept"] == sum(row["keep"] for row in rows)
    made_from = [f"{folder}/{shard:07d}.parquet" for folder in ("media", f"text/{TAGGER}") for shard in range(3)]
    assert dict(record.inputs) == {name: read_artifact(store, name).digest for name in made_from}


@pytest.mark.parametrize("change", ["filters.min_motion=0.9", "val_percent=60", "filters.nothing_to_say=false"])
def test_a_threshold_makes_only_the_selection_out_of_date(done: Path, change: str) -> None:
    found = plan(done, "--set", change)
    assert todo(found) == {"select": [0, 1, 2]}
    assert not found.needs_ray


def test_another_threshold_starts_neither_ray_nor_an_engine_and_changes_one_table(done: Path) -> None:
    before = snapshot(done)
    arguments = [str(argument) for argument in (*finished().arguments(done), *STILL)]
    code = (
        f"import sys\nfrom curation.cli import main\nassert main({arguments!r}) == 0\n"
        "sys.exit(f'imported {found}' if (found := {'ray', 'torch', 'vllm'} & set(sys.modules)) else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert changed(before, snapshot(done)) == {TABLE}
    reasons = {row["filter_reason"] for row in read_table(Store(done), TABLE).to_pylist()}
    assert "static_picture" in reasons
    assert "nothing to do" in curate(*arguments).err
    assert curate("check", done, "--quick").status == 0


def test_a_plan_says_that_ray_would_not_be_started(done: Path) -> None:
    assert "Ray would not be started" in curate("plan", *finished().arguments(done)[1:], *STILL).out


def test_a_second_selection_stands_beside_the_first_and_every_command_takes_it(done: Path, tmp_path: Path) -> None:
    before = snapshot(done)
    ended = curate(*finished().arguments(done), *STILL, "--select", "moving", "--stages", "select")
    assert ended.status == 0, ended.err
    assert changed(before, snapshot(done)) == {"selections/moving.parquet"}
    kept = {row["key"] for row in read_table(Store(done), "selections/moving.parquet").to_pylist() if row["keep"]}
    shown = curate("inspect", done, "--select", "moving", "--where", "keep", "--limit", "100").out
    assert f"{len(kept)} clip" in shown or not kept
    ended = curate("export", done, "--format", "jsonl", "--select", "moving", "--output", tmp_path / "rows")
    assert f"{len(kept)} samples" in ended.out
    refused = curate("export", done, "--format", "jsonl", "--select", "movin", "--output", tmp_path / "none")
    assert refused.status == 2 and "--select movin" in refused.err


@pytest.mark.parametrize("name", ["a/b", "", "../x"])
def test_a_selection_whose_name_is_a_path_is_refused(done: Path, name: str) -> None:
    ended = curate(*finished().arguments(done), "--select", name or " ")
    assert ended.status == 2 and "--select" in ended.err


def test_a_layer_without_a_selection_is_shown_and_not_exported(done: Path, tmp_path: Path) -> None:
    (done / TABLE).unlink()
    assert "in no selection yet" in curate("status", done).out
    shown = curate("inspect", done)
    assert shown.status == 0 and "no selection marks the clips" in shown.out
    refused = curate("export", done, "--format", "jsonl", "--output", tmp_path / "rows")
    assert refused.status == 2 and "--stages select" in refused.err
    assert todo(plan(done)) == {"select": [0, 1, 2]}


def test_texts_of_version_1_get_a_selection_without_a_model(tmp_path: Path) -> None:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    shards = tmp_path / "shards"
    shutil.rmtree(shards / "features")
    before = snapshot(shards)
    ended = curate("run", "demo", "--output", shards, "--stages", "select", "--set", "val_percent=100")
    assert ended.status == 0, ended.err
    split = {"sources.parquet", "sources/0000000-0000003.parquet"}  # one table of sources becomes parts
    written = {"selections/demo.parquet", "manifest.json"}  # the manifest records the programs
    assert changed(before, snapshot(shards)) == written | split
    manifest = read_manifest(Store(shards))
    assert manifest is not None and manifest.schema_version == 1
    assert {row["split"] for row in marked_rows(shards, "demo")} == {"val"}
    assert curate("check", shards, "--quick").status == 0
    assert curate("inspect", shards, "--where", "split = 'val'").status == 0
