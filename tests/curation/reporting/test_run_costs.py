"""Costs of runs from their logs: hours by stage, tokens, money, bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation.reporting.run_costs import RunCosts, RunPrices, bytes_by_folder, cost_line, read_prices, run_costs
from runtime.errors import UserError
from runtime.ray_runner.display.progress import PoolOutline, ProgressTracker
from runtime.ray_runner.reports import FinishedShard, Heartbeat
from runtime.ray_runner.run_record import RunReport
from shards.storage.store import Store


def record(**pools: dict[str, Any]) -> dict[str, Any]:
    return {"event": "end", "elapsed": 7200.0, "pools": pools}


def pool(seconds: float, cpus: float, gpus: float = 0.0, **counts: float) -> dict[str, Any]:
    return {"worker_seconds": seconds, "cpus": cpus, "gpus": gpus, "counts": counts}


def test_hours_are_those_of_held_workers_times_what_each_reserves() -> None:
    costs = RunCosts.of_record(record(media=pool(3600, 2.0), llm=pool(1800, 1.0, 4.0, tokens_in=900, tokens=100)))
    assert (costs.runs, costs.hours) == (1, 2.0)
    assert (costs.cpu_hours, costs.gpu_hours) == (2.5, 2.0)
    assert (costs.prompt_tokens, costs.completion_tokens) == (900, 100)
    assert cost_line(costs) == "2.0 hours, 2.50 CPU-hours, 2.00 GPU-hours, 900 tokens in and 100 out"


def test_a_worker_is_held_while_it_starts_works_and_waits() -> None:
    tracker = ProgressTracker([PoolOutline("media", 2, cpus=2.0)], 0.0)
    tracker.begin(["media"], 10.0)
    tracker.set_starting(["media"], 40.0)
    tracker.set_starting([], 40.0)
    tracker.add_heartbeat(Heartbeat("media", "a", 50.0, 10.0))
    tracker.finish(FinishedShard("media", 0, {}), 100.0)
    (figures,) = tracker.figures(100.0).pools
    assert figures.worker_seconds == 30.0 + 50.0 + 10.0
    costs = RunCosts.of_report(RunReport(elapsed=100.0, pools=(figures,)))
    assert costs.cpu_hours == pytest.approx(2.0 * 90.0 / 3600)


def test_runs_add_up_and_logs_without_reservations_are_counted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = record(media={"counts": {}}, rewrite={"counts": {"tokens_in": 5, "tokens": 1}})
    for number, rows in enumerate(([{"event": "start"}, old], [record(media=pool(3600, 1.0))], [{"event": "start"}])):
        lines = [json.dumps(row) for row in rows]
        store.commit_bytes("\n".join([*lines, '{"event": "prog']).encode(), f"log/2026010{number}T000000Z.jsonl")
    costs = run_costs(store)
    assert (costs.runs, costs.unmeasured, costs.hours) == (2, 1, 4.0)
    assert [each.pool for each in costs.pools] == ["media", "rewrite"]
    assert (costs.cpu_hours, costs.prompt_tokens) == (1.0, 5)


def test_the_end_of_a_long_log_is_enough(tmp_path: Path) -> None:
    store = Store(tmp_path)
    lines = [json.dumps({"event": "progress", "filling": "x" * 1000})] * 600 + [json.dumps(record(a=pool(3600, 1.0)))]
    store.commit_bytes("\n".join(lines).encode(), "log/20260101T000000Z.jsonl")
    assert run_costs(store).cpu_hours == 1.0


@pytest.mark.parametrize("pools", [None, {}, [], {"media": "x"}, {"media": {"worker_seconds": "x", "counts": [1]}}])
def test_a_record_that_is_none_costs_nothing(pools: object) -> None:
    costs = RunCosts.of_record({"elapsed": "long", "pools": pools})
    assert not costs.cpu_hours and costs.prompt_tokens == 0


def test_money_is_the_sum_over_all_prices() -> None:
    costs = RunCosts.of_record(record(llm=pool(3600, 2.0, 1.0, tokens_in=2e6, tokens=1e6)))
    prices = RunPrices(cpu_hour=0.5, gpu_hour=3.0, million_prompt_tokens=0.25, million_completion_tokens=2.0)
    assert costs.money(prices) == 1.0 + 3.0 + 0.5 + 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu_hours: 2", "gpu_hours: no such setting (did you mean 'gpu_hour'?)"),
        ("gpu_hour: -1", "gpu_hour=-1"),
        ("gpu_hour: .inf", "gpu_hour"),
        ("- 1", "must be a mapping"),
    ],
)
def test_a_price_that_cannot_be_is_one_line_with_file_and_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_prices(path)
    assert message in str(caught.value) and f"--prices {path}" in str(caught.value)


def test_bytes_are_those_of_all_files_of_a_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, size in {"media/0.tar": 100, "text/a/0.parquet": 30, "text/b/0.parquet": 5, "manifest.json": 9}.items():
        store.commit_bytes(b"x" * size, name)
    assert bytes_by_folder(store) == {"media": 100, "text": 35}
