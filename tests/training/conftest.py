"""Fixtures of the training tests: one thread, the server that processes are forked from, the one start of Ray."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
import torch
from support.vidlankd_runs import Recipe, recipe


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The same results and memory on any number of cores; several threads would wait for each other on a busy one."""
    threads, given = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
    yield
    torch.set_num_threads(threads)
    if given is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = given


@pytest.fixture(scope="session", autouse=True)
def fork_server(one_thread: None) -> None:
    """Start it before a test's own loader does with less in it; only where a test was collected that needs ranks."""
    if "support.ranks" in sys.modules:
        sys.modules["support.ranks"].start_fork_server()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Shards, their features (extracted on Ray, as a user's are) and a tokenised corpus; not to be changed."""
    return recipe(tmp_path_factory.mktemp("recipe"))
