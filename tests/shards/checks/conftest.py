"""Fixtures of the checks: a DIR that the contract allows, and a copy of it to damage."""

import shutil
from pathlib import Path

import pytest
from support.shard_factory import build_dir

from shards.storage.store import Store


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(build_dir(tmp_path_factory.mktemp("valid") / "dir", shards=2).root)


@pytest.fixture
def store(valid: Path, tmp_path: Path) -> Store:
    return Store(shutil.copytree(valid, tmp_path / "dir"))
