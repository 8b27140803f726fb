"""Wait for the nodes that a run needs, and ask the cluster's autoscaler for them.

A cluster that grows by demand often has no node with room when a run begins: KubeRay's head has no CPUs for work.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from runtime.errors import UserError
from runtime.ray_runner.cluster import Cluster, alive_nodes
from runtime.ray_runner.display.progress_view import announce
from runtime.ray_runner.driver.ray_job import RayJob
from runtime.ray_runner.placement import Placement, place
from runtime.ray_runner.stage import PoolSettings

_POLL_SECONDS: Final = 2.0
_GIB: Final = 1024**3


def place_on(cluster: Cluster, job: RayJob) -> Placement:
    """Lay out a run on the nodes of a cluster; wait `ClusterSettings.wait_for_nodes` seconds for missing ones.

    Raises:
        UserError: as `runtime.ray_runner.placement.place`, when the time is over.
    """
    until = time.monotonic() + job.cluster.wait_for_nodes
    try:
        return _placed(cluster, job)
    except UserError as error:
        if time.monotonic() >= until:
            raise
        if not job.quiet:
            announce(f"{job.title}: waiting for nodes, at most {job.cluster.wait_for_nodes:g} s ({error})")
    _ask_autoscaler([*(stage.pool for stage in job.stages), *(service.pool for service in job.services)])
    try:
        while True:
            time.sleep(_POLL_SECONDS)
            cluster.nodes = alive_nodes()
            try:
                return _placed(cluster, job)
            except UserError:
                if time.monotonic() >= until:
                    raise
    finally:
        _ask_autoscaler([])  # from now on the processes that wait for room are the demand


def bundles_of(pools: Sequence[PoolSettings]) -> list[dict[str, float]]:
    """Return the resources of each worker that must run, as Ray names them."""
    return [bundle for pool in pools for bundle in [_bundle(pool)] * pool.min]


def _bundle(pool: PoolSettings) -> dict[str, float]:
    amounts = {"CPU": pool.cpus, "GPU": pool.gpus, "memory": pool.memory_gb * _GIB}
    return {name: amount for name, amount in amounts.items() if amount}


def _placed(cluster: Cluster, job: RayJob) -> Placement:
    return place(job.stages, job.services, cluster.nodes, job.stages_in_turn)


def _ask_autoscaler(pools: Sequence[PoolSettings]) -> None:
    """Ask for nodes with room for the least workers of pools; replaces what was asked for before."""
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=bundles_of(pools))
