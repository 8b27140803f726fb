"""A prediction from the measures of a probe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from curation.probe.extrapolation import Machine, predicted, whole
from curation.probe.probe_measures import PoolMeasure, ProbeMeasures
from curation.reporting.prediction import Estimate

MEDIA = PoolMeasure("media", True, cpus=2.0, gpus=0.0, workers=1, most=2, busy={0: 100.0, 1: 300.0})
LLM = PoolMeasure("llm", False, cpus=1.0, gpus=1.0, workers=1, most=1, busy={0: 60.0, 1: 140.0})
PROBE = ProbeMeasures(
    shards={0: 100.0, 1: 100.0},
    pools=(MEDIA, LLM),
    stored={0: 1e9, 1: 3e9},
    tokens_in={0: 10.0, 1: 10.0},
    tokens_out={},
    requests={0: 5.0, 1: 5.0},
    bytes_in={},
    start_seconds=30.0,
    held_start_seconds=30.0,
    one_shard_seconds=300.0,
    streamed=True,
)
ONE = Machine(nodes=1, cpus=16.0, gpus=1.0)
SHARDS = 200


def test_a_figure_grows_with_seconds_of_video_and_has_the_spread_of_the_probes_shards() -> None:
    assert whole(PROBE, PROBE.stored, 10 / 1e9) == Estimate(40.0, 20.0, 60.0)
    assert whole(PROBE, PROBE.tokens_out, 10) == Estimate(0.0, 0.0, 0.0)


def test_the_slowest_pool_sets_the_pace_of_stages_that_stream() -> None:
    figures, limit = predicted(PROBE, 100.0, SHARDS, ONE)
    assert limit == "media, 2 workers"
    seconds = 400.0 * 100 / 2 * (1 - 1 / SHARDS) + 300.0 + 30.0
    assert figures.hours.value == pytest.approx(seconds / 3600)
    assert figures.hours.low < figures.hours.value < figures.hours.high
    assert figures.gpu_hours.value == pytest.approx(figures.hours.value), "the engine is held all the time"
    assert figures.cpu_hours.value == pytest.approx((2 * 2 + 1) * figures.hours.value)


def test_the_cpus_that_services_leave_limit_the_stages() -> None:
    _, limit = predicted(PROBE, 100.0, SHARDS, Machine(nodes=1, cpus=3.0, gpus=1.0))
    assert limit == "CPUs"


def test_more_machines_divide_the_work_but_not_the_start_nor_one_shard() -> None:
    one, four = (predicted(PROBE, 100.0, SHARDS, replace(ONE, nodes=nodes))[0] for nodes in (1, 4))
    fixed = 330.0 / 3600
    assert four.hours.value - fixed == pytest.approx((one.hours.value - fixed) / 4)
    assert four.gigabytes == one.gigabytes and four.requests == one.requests


def test_stages_that_take_turns_are_added_up() -> None:
    rewrite = PoolMeasure("rewrite", True, cpus=1.0, gpus=0.0, workers=1, most=1, busy={0: 200.0, 1: 200.0})
    turns = replace(PROBE, pools=(MEDIA, rewrite, LLM), streamed=False)
    figures, limit = predicted(turns, 100.0, SHARDS, ONE)
    assert limit == "rewrite, 1 worker"
    assert figures.hours.value == pytest.approx((400.0 * 100 / 2 + 400.0 * 100 + 30.0) / 3600)


def test_of_a_cluster_that_runs_already_only_the_workers_of_the_probe_are_known() -> None:
    _, limit = predicted(PROBE, 100.0, SHARDS, Machine(nodes=1, cpus=None, gpus=None))
    assert limit == "media, 1 worker"
