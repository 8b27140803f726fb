"""The roots of many shards are counted once for all runs over the same media and selection."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.selections import select
from support.shard_factory import LAYER, build_dir

from shards.storage.store import Store
from training.data.sources import root_counts
from training.data.sources.root_counts import RootCounts
from training.data.sources.shard_tables import open_shards


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(root_counts, "KEPT_FROM", 1)
    return build_dir(tmp_path / "dir", shards=2)


def counted(store: Store) -> RootCounts:
    return root_counts.count_roots(open_shards([store.root], None).shards, "train", True)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "root-counts").glob("*.json"))


def test_counts_are_read_from_the_file_of_an_earlier_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = counted(store)
    assert first.roots == (3, 3) and first.videos == (2, 2)
    monkeypatch.setattr(root_counts, "_count", None)  # it would fail if it were called
    assert counted(store) == first


def test_another_selection_and_a_damaged_file_are_counted_anew(store: Store, tmp_path: Path) -> None:
    before = counted(store)
    select(store, LAYER, val_percent=60)
    after = counted(store)
    assert after != before and len(files(tmp_path)) == 2
    for file in files(tmp_path):
        file.write_text('{"roots": [1')
    assert counted(store) == after


def test_few_shards_leave_no_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_counts, "KEPT_FROM", 3)
    counted(store)
    assert not files(tmp_path)
