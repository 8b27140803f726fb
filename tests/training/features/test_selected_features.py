"""With a selection, only the roots with a clip that it keeps are encoded; what all roots have is used for all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.curate_runs import curate
from support.shard_factory import build_dir
from support.vidlankd_runs import command

from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.stage import ServiceSpec, StageSpec
from runtime.settings import build
from shards.checks.check_dir import check
from shards.errors import ShardError
from shards.reader import read_table
from shards.storage.store import Store
from training.features.features_settings import FeaturesSettings
from training.features.features_stage import extract


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Run stages in this process, without Ray; return the list of the shards they are asked for."""
    shards: list[int] = []

    def run(stages: Sequence[StageSpec], services: Sequence[ServiceSpec], **options: Any) -> RunReport:
        worker = stages[0].build({})
        shards.extend(stages[0].shards)
        for shard in stages[0].shards:
            assert asyncio.run(worker.process(shard)).fatal is None
        return RunReport()

    monkeypatch.setattr("training.features.features_stage.run_stages", run)
    return shards


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "dir"
    build_dir(root, shards=2, videos_per_shard=1)
    assert curate("select", root, "--name", "short", "--where", "level = 'short'").status == 0
    assert curate("select", root, "--name", "late", "--where", "start > 12").status == 0
    return root


def extract_selected(root: Path, selection: str | None) -> None:
    values = {"encoder": "clip:random:tiny", "name": "tiny", "selection": selection}
    extract([str(root)], build(FeaturesSettings, values, "features"))


def encoded(root: Path) -> set[str]:
    """The roots with features; all others must be left out for the reason that they were not selected."""
    rows = [
        row for shard in (0, 1) for row in read_table(Store(root), f"features/tiny/{shard:07d}.parquet").to_pylist()
    ]
    assert {row["failed"] for row in rows if not row["rows"]} <= {"not_selected"}
    return {row["root_key"] for row in rows if row["rows"]}


def kept(root: Path, selection: str | None) -> set[str]:
    clips = [row for shard in (0, 1) for row in read_table(Store(root), f"media/{shard:07d}.parquet").to_pylist()]
    if selection is None:
        return {clip["root_key"] for clip in clips}
    marks = {row["key"]: row["keep"] for row in read_table(Store(root), f"selections/{selection}.parquet").to_pylist()}
    return {clip["root_key"] for clip in clips if marks[clip["key"]]}


def test_only_selected_roots_are_encoded_and_another_selection_encodes_its_own(root: Path, asked: list[int]) -> None:
    extract_selected(root, "short")
    assert encoded(root) == kept(root, "short") != kept(root, None)
    assert check(Store(root), decode=False) == []
    extract_selected(root, "short")
    assert asked == [0, 1]
    extract_selected(root, "late")
    assert encoded(root) == kept(root, "late")
    assert curate("select", root, "--name", "late", "--where", "start >= 0").status == 0
    extract_selected(root, "late")
    assert encoded(root) == kept(root, "late")
    extract_selected(root, None)
    assert encoded(root) == kept(root, None)
    extract_selected(root, "short")
    assert len(asked) == 8 and encoded(root) == kept(root, None)


def test_shards_that_the_selection_does_not_have_are_left_for_later(root: Path, asked: list[int]) -> None:
    marks = root / "selections/short.parquet"
    build_dir(root.parent / "one", shards=1, videos_per_shard=1)
    assert curate("select", root.parent / "one", "--name", "short", "--where", "level = 'short'").status == 0
    marks.write_bytes((root.parent / "one/selections/short.parquet").read_bytes())
    extract_selected(root, "short")
    assert asked == [0]


def test_a_selection_that_is_not_there_is_refused(root: Path, asked: list[int]) -> None:
    with pytest.raises(ShardError, match=r"--select none: .* no such selection \(there are: grounded, late, short\)"):
        extract_selected(root, "none")


def test_the_flag_is_select(root: Path, asked: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--shards", str(root), "--encoder", "clip:random:tiny", "--name", "tiny", "--select", "none")
    assert command("features", *flags) == 2
    assert "--select none" in capsys.readouterr().err
