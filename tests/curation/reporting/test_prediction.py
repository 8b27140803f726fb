"""A prediction is kept until the next run, and compared with what the runs since took."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from curation.reporting.prediction import (
    PREDICTION,
    Estimate,
    PredictedFigures,
    Prediction,
    adopt_prediction,
    keep_prediction,
    outcome,
    read_prediction,
)
from curation.reporting.run_costs import RunPrices
from shards.storage.store import Store

FIGURES = PredictedFigures(*(Estimate(value, value / 2, 2.0 * value) for value in range(1, 9)))
MADE = Prediction(
    made="2026-01-02T00:00:00+00:00",
    pipeline="demo",
    nodes=1,
    probe_shards=2,
    sources=100,
    shards=10,
    video_hours=5.0,
    bottleneck="media, 1 worker",
    figures=FIGURES,
    shards_before=1,
    bytes_before=50,
)


def test_a_prediction_waits_in_the_cache_until_a_run_makes_the_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "out")
    keep_prediction(store, MADE)
    assert not (tmp_path / "out").exists()
    adopt_prediction(store)
    assert read_prediction(store) == MADE
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_prediction_for_a_dir_that_is_there_is_kept_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "out")
    store.commit_bytes(b"{}", "manifest.json")
    keep_prediction(store, replace(MADE, nodes=3))
    assert read_prediction(store) == replace(MADE, nodes=3)
    adopt_prediction(store)
    assert read_prediction(store) == replace(MADE, nodes=3)


def test_a_file_of_another_version_is_no_prediction(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit_bytes(b'{"made": "2026-01-02"}', PREDICTION)
    assert read_prediction(store) is None


def test_money_is_figures_times_prices_with_its_spread() -> None:
    prices = RunPrices(cpu_hour=1.0, million_requests=1e6, gigabyte_in=0.5)
    assert FIGURES.money(prices) == Estimate(2 + 7 + 4, (2 + 7 + 4) / 2, 2.0 * (2 + 7 + 4))


def test_only_runs_and_shards_since_the_prediction_count(tmp_path: Path) -> None:
    store = Store(tmp_path)
    pools = {"media": {"worker_seconds": 3600, "cpus": 2.0, "counts": {"requests:a.org": 4, "bytes:a.org": 2e9}}}
    record = json.dumps({"elapsed": 7200, "pools": pools}).encode()
    for day in ("20260101", "20260102", "20260103"):
        store.commit_bytes(record, f"log/{day}T000000.000000Z.jsonl")
    for shard in range(3):
        for suffix in (".tar", ".parquet"):
            store.commit_bytes(b"", f"media/{shard:07d}{suffix}")
    found = outcome(store, MADE, stored=1_000_000_050)
    assert (found.runs, found.shards) == (2, 2)
    assert found.figures["hours"] == 4.0 and found.figures["cpu_hours"] == 4.0
    assert found.figures["requests"] == 8 and found.figures["gigabytes_in"] == 4.0
    assert found.figures["gigabytes"] == 1.0
    assert {field.name for field in fields(PredictedFigures)} == set(found.figures)
