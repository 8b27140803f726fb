"""Nodes and drivers that come and go: pools grow onto a node that joins, and a lost one costs what was in its hands."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.noop_stages import Inhabitant, ask_where, service, stage
from support.processes import still_running
from support.waiting import until

from runtime.ray_runner.cluster import ClusterSettings
from runtime.ray_runner.driver.ray_node import reduced_node_start
from runtime.ray_runner.pools import service_pool
from runtime.ray_runner.run_record import RunReport
from runtime.ray_runner.runner import run_stages
from runtime.retry_limits import CALLS_WAIT

TESTS = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.ray

_SHARDS = 1000
_STORE = 100_000_000


@dataclass
class Journey:
    """A run during which a node joined, was used, and was lost."""

    report: RunReport
    results: list[int]
    workers: set[str]
    """Nodes on which there were workers at work before the loss."""
    engines: set[str]
    """Nodes on which engines had answered by then."""


def _seen(folder: Path) -> tuple[set[str], set[str]]:
    pairs = [path.read_text().split() for path in folder.glob("asked-*")]
    return {worker for worker, _ in pairs}, {engine for _, engine in pairs}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node of two logical CPUs that this process has joined."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
        patch.setattr(service_pool, "CALLS_WAIT", replace(CALLS_WAIT, default=0.1))
        with reduced_node_start(log_to_driver=False):
            head = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": _STORE})
            stack.callback(head.shutdown)
            ray.init(address=head.address, log_to_driver=False, logging_level=50)
        stack.callback(ray.shutdown)
        yield head


@pytest.fixture(scope="module")
def journey(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """Two workers and an engine fill the head; a node joins with room for one more each, and is killed."""
    folder = tmp_path_factory.mktemp("nodes")
    results: list[int] = []
    reports: list[RunReport] = []
    run = threading.Thread(target=lambda: reports.append(_run(folder, results)), daemon=True)
    run.start()
    until(lambda: _seen(folder)[0], "work on the head")
    with reduced_node_start(log_to_driver=False):
        node = cluster.add_node(num_cpus=2, object_store_memory=_STORE)
    until(lambda: not run.is_alive() or all(len(nodes) == 2 for nodes in _seen(folder)), "work on both nodes")
    workers, engines = _seen(folder)
    cluster.remove_node(node, allow_graceful=False)
    (folder / "quick").touch()
    run.join()
    return Journey(reports[0], results, workers, engines)


def _run(folder: Path, results: list[int]) -> RunReport:
    return run_stages(
        [stage("media", partial(ask_where, folder), range(_SHARDS), ("inhabitant",), min=2, max=3)],
        [service("inhabitant", Inhabitant, cpus=1.0, max=2)],
        cluster=ClusterSettings(),
        log_folder=None,
        title="test",
        quiet=True,
        on_result=lambda name, shard, result: results.append(shard),
    )


def test_stages_and_services_grow_onto_a_node_that_joins(journey: Journey) -> None:
    assert (len(journey.workers), len(journey.engines)) == (2, 2)


def test_a_lost_node_loses_no_shard_and_its_calls_are_made_again_on_another_host(journey: Journey) -> None:
    assert journey.report.fatal is None
    assert sorted(journey.results) == list(range(_SHARDS))


def test_the_processes_of_a_driver_that_was_killed_end_on_the_cluster(cluster: Any, tmp_path: Path) -> None:
    command = [sys.executable, str(TESTS / "support" / "runner_driver.py"), str(tmp_path), cluster.address]
    with subprocess.Popen(command, cwd=TESTS.parent) as driver:
        until(lambda: driver.poll() is not None or len(list(tmp_path.glob("pids-*"))) == 2, "the driver's workers")
        named = {int(pid) for path in tmp_path.glob("pids-*") for pid in path.read_text().split()[:2]}
        workers = [psutil.Process(pid) for pid in named]
        driver.kill()
    assert len(workers) == 4 and still_running(workers) == []
