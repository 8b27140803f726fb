"""A DIR with scores and facts about videos, from whose clips selections are made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.choices import licence_of, match_of, write_scores, write_videos
from support.shard_factory import build_dir

from shards.storage.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DIR that every test gets a copy of."""
    store = build_dir(tmp_path_factory.mktemp("made") / "dir", shards=3, videos_per_shard=4, val_percent=30)
    write_scores(store, "text", lambda clip: {"match": match_of(clip), "motion": clip["start"] / 100})
    write_scores(store, "look", lambda clip: {"blur": clip["end"] / 50, "motion": 0.5})
    write_videos(store, lambda root: {"video_title": f"Title {root['video_id'][0]}", "video_license": licence_of(root)})
    return Path(store.root)


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    """A DIR of one's own."""
    shutil.copytree(made, tmp_path / "dir")
    return Store(tmp_path / "dir")
