"""A run on a cluster that is too small asks the autoscaler for nodes, and begins when they have joined."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.noop_stages import Doubler, nothing, service, stage

from runtime.errors import UserError
from runtime.ray_runner import node_wait
from runtime.ray_runner.cluster import Cluster, ClusterSettings
from runtime.ray_runner.driver.ray_job import RayJob
from runtime.ray_runner.node_wait import bundles_of, place_on
from runtime.ray_runner.placement import MachineNode
from runtime.ray_runner.stage import PoolSettings

_HEAD = MachineNode(cpus=0)


def _job(wait: float) -> RayJob:
    stages = [stage("media", nothing, range(2), services=("doubler",), cpus=2, min=2, max=4)]
    services = [service("doubler", Doubler, gpus=1)]
    return RayJob(stages, services, ClusterSettings(wait_for_nodes=wait), None, "a run", True, None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, float]]]:
    """What the autoscaler was asked for; one more node joins each time that the nodes are looked at."""
    requests: list[list[dict[str, float]]] = []
    looks: list[MachineNode] = [_HEAD]

    def ask(pools: Sequence[PoolSettings]) -> None:
        requests.append(bundles_of(pools))

    def look() -> tuple[MachineNode, ...]:
        looks.append(MachineNode(cpus=3, gpus=1))
        return tuple(looks)

    monkeypatch.setattr(node_wait, "_ask_autoscaler", ask)
    monkeypatch.setattr(node_wait, "alive_nodes", look)
    monkeypatch.setattr(node_wait, "_POLL_SECONDS", 0.0)
    return requests


def test_a_run_begins_when_enough_nodes_have_joined(asked: list[list[dict[str, float]]]) -> None:
    cluster = Cluster((_HEAD,))
    assert place_on(cluster, _job(60.0)).streams
    assert len(cluster.nodes) == 3, "the head and the two nodes that it takes"
    assert asked == [[{"CPU": 2.0}, {"CPU": 2.0}, {"CPU": 0.5, "GPU": 1.0}], []], "and the request is withdrawn"


def test_without_time_to_wait_a_small_cluster_is_refused_at_once(asked: list[list[dict[str, float]]]) -> None:
    with pytest.raises(UserError, match=r"resources\.media\.cpus"):
        place_on(Cluster((_HEAD,)), _job(0.0))
    assert asked == []
