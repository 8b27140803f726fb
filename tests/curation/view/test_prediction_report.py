"""Predictions and live runs, as `curate plan --probe` and `curate status` print them."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.console import Console
from support.shard_factory import build_dir

from curation.reporting.prediction import ActualFigures, Estimate, PredictedFigures, Prediction
from curation.reporting.run_costs import RunPrices
from curation.view.prediction_report import print_comparison, print_prediction
from curation.view.status import show_status
from shards.storage.dir_lock import DirLock, LockOwner
from shards.storage.store import Store

FIGURES = PredictedFigures(
    hours=Estimate(10.0, 5.0, 20.0),
    cpu_hours=Estimate(20.0, 10.0, 40.0),
    gpu_hours=Estimate(0.0, 0.0, 0.0),
    gigabytes=Estimate(4.0, 3.0, 5.0),
    prompt_tokens=Estimate(1e6, 1e6, 1e6),
    completion_tokens=Estimate(1000.0, 900.0, 1100.0),
    requests=Estimate(100.0, 100.0, 100.0),
    gigabytes_in=Estimate(0.0, 0.0, 0.0),
)
MADE = Prediction("2026-01-02T00:00:00+00:00", "demo", 4, 2, 100, 10, 5.0, "media, 8 workers", FIGURES)
REALLY = {
    "hours": 6.0, "cpu_hours": None, "gpu_hours": 0.0, "gigabytes": 2.0, "prompt_tokens": 5e5,
    "completion_tokens": 500.0, "requests": 50.0, "gigabytes_in": 0.0,
}  # fmt: skip


def screen() -> Console:
    """A wide console that keeps what it prints."""
    return Console(file=io.StringIO(), width=200)


def rows(console: Console) -> dict[str, list[str]]:
    """The cells of the printed table by their label."""
    assert isinstance(console.file, io.StringIO)
    lines = [line.split("│") for line in console.file.getvalue().splitlines() if line.startswith("│")]
    return {cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for cells in lines}


def test_a_plan_shows_each_figure_with_its_spread_and_what_limits_the_pace() -> None:
    console = screen()
    print_prediction(console, MADE, RunPrices(cpu_hour=0.5, million_prompt_tokens=2.0))
    shown = rows(console)
    assert shown["hours"] == ["10", "5", "20"]
    assert shown["money"] == ["12.00 USD", "7.00 USD", "22.00 USD"]
    assert "GPU-hours" not in shown
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "4 machines like this one" in said and "limited by media, 8 workers" in said


def test_status_shows_what_a_finished_run_took_beside_the_prediction() -> None:
    console = screen()
    print_comparison(console, MADE, ActualFigures(10, 1, REALLY), RunPrices(million_prompt_tokens=2.0))
    shown = rows(console)
    assert shown["hours"] == ["10 (5 to 20)", "6", "0.60"]
    assert shown["CPU-hours"] == ["20 (10 to 40)", "?", ""]
    assert shown["money, USD"] == ["2", "1", "0.50"]


def test_an_unfinished_run_is_compared_with_the_part_that_is_made() -> None:
    console = screen()
    print_comparison(console, MADE, ActualFigures(5, 1, REALLY), None)
    assert rows(console)["hours"] == ["10 (5 to 20)", "5 (2.5 to 10)", "6", "1.20"]


def test_status_says_so_if_no_run_has_begun_since() -> None:
    console = screen()
    print_comparison(console, MADE, ActualFigures(0, 0, {}), None)
    assert isinstance(console.file, io.StringIO)
    assert "no run has begun since" in console.file.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR with two shards."""
    build_dir(tmp_path / "dir")
    return Store(tmp_path / "dir")


def test_status_of_a_dir_that_a_run_holds_says_so_and_how_far_it_is(store: Store) -> None:
    shards = len([name for name in store.list("media") if name.endswith(".parquet")])
    with DirLock(store):
        console = screen()
        assert show_status(store.root, console, quick=True) == 0
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().startswith("running for ")
    assert rows(console)["media"] == [str(shards), str(shards), "100%"]


def test_a_lock_without_a_sign_of_life_is_no_run(store: Store) -> None:
    owner = replace(LockOwner.here(), host="elsewhere", beat=0.0)
    store.commit_bytes(json.dumps(asdict(owner)).encode(), ".lock")
    console = screen()
    assert show_status(store.root, console, quick=True) == 0
    assert isinstance(console.file, io.StringIO)
    assert "running" not in console.file.getvalue() and "media" in rows(console)
