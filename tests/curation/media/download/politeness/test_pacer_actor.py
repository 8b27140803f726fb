"""The pacer of a run on Ray: workers in several processes share its slots, also after its process was killed."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.site_visitors import SiteVisitor

from runtime.ray_runner.cluster import ClusterSettings, connected

pytestmark = [pytest.mark.slow, pytest.mark.ray]
_RUN = "paced"
_TESTS = Path(__file__).parents[4]


def _apart(visits: list[tuple[float, float]]) -> float:
    """Return the shortest time between the end of a visit and the start of the next; negative if two overlap."""
    ordered = sorted(visits)
    return min(after[0] - before[1] for before, after in pairwise(ordered))


def test_workers_share_the_slots_of_a_site_also_after_the_pacer_was_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(_TESTS), str(_TESTS.parent)]))
    with connected(ClusterSettings(num_cpus=2)):
        import ray

        worker: Any = ray.remote(num_cpus=1, max_concurrency=2)(SiteVisitor)
        one, two = worker.remote(_RUN), worker.remote(_RUN)
        visits = ray.get([each.visit.remote(0.1) for each in (one, two) * 3])
        assert _apart(visits) >= 0

        held = one.visit.remote(10.0)
        assert not ray.wait([held], timeout=3.0)[0], "it has begun, and lasts"
        ray.kill(ray.get_actor(f"site-pacer-{_RUN}"), no_restart=False)
        after = ray.get([held, two.visit.remote(0.1)])
        assert _apart(after) >= 0, "the slot that the lost pacer had granted is still held"
