"""Fixtures of the training tests: the server that their processes are forked from, and the one start of Ray."""

from __future__ import annotations

import sys

import pytest
from support.vidlankd_runs import Recipe, recipe


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> None:
    """Start it before a test's own loader does with less in it; only where a test was collected that needs ranks."""
    if "support.ranks" in sys.modules:
        sys.modules["support.ranks"].start_fork_server()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Shards, their features (extracted on Ray, as a user's are) and a tokenised corpus; not to be changed."""
    return recipe(tmp_path_factory.mktemp("recipe"))
