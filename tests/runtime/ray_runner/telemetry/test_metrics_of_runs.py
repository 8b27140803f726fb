"""Metrics of a run, and the Grafana dashboard that shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from runtime.ray_runner.display.progress import Figures, PoolFigures
from runtime.ray_runner.telemetry.run_metrics import METRICS, metric_values

DASHBOARD = Path(__file__).parents[4] / "docs/grafana/clipgrove.json"
SERIES = {series: metric for metric in METRICS for series in metric.series}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    """The dashboard that ships."""
    read: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return read


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """Every expression of a dashboard."""
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_figures_of_pools_become_metrics_with_few_labels() -> None:
    counts = {
        "videos": 9, "clips": 30, "seconds": 600, "written": 6, "failed": 2, "filtered": 1,
        "failed:private": 2, "filtered:too_short": 1, "tokens_in": 50, "tokens": 5,
        "requests:a.org": 4, "requests:b.org": 3, "bytes:a.org": 100,
    }  # fmt: skip
    media = PoolFigures(
        "media", total=8, done=3, workers=2, busy_seconds=90, idle_seconds=10, counts=counts, failed={"private": 2}
    )
    values = {
        (name, *(value for _, value in labels)): value
        for name, labels, value in metric_values(
            Figures(100.0, (media, PoolFigures("llm", workers=1, queue_seconds=4.0)), eta=50.0)
        )
    }
    assert values["shards", "media"] == 8 and values["shards_done", "media"] == 3
    assert values["sources", "written"] == 6 and values["failures", "media", "private"] == 2
    assert values["filtered_sources", "too_short"] == 1 and values["video_seconds", "media"] == 600
    assert values["tokens", "media", "prompt"] == 50 and values["worker_seconds", "media", "idle"] == 10
    assert values["queue_seconds", "llm"] == 4
    assert values["requests",] == 7 and values["download_bytes",] == 100
    assert values["run_seconds_left",] == 50 and values["workers", "llm"] == 1 and ("shards", "llm") not in values
    assert {name for name, *_ in values} <= {metric.name for metric in METRICS}


def test_every_expression_of_the_dashboard_names_a_metric_and_labels_that_are_exported(
    dashboard: dict[str, Any],
) -> None:
    for expression in expressions(dashboard):
        names = re.findall(r"ray_\w+", expression)
        assert names and set(names) <= set(SERIES), expression
        labels = {label for name in names for label in SERIES[name].labels} | {"le"}
        grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
        assert grouped | set(re.findall(r"[{,](\w+)=", expression)) <= labels, expression


def test_every_metric_is_on_the_dashboard(dashboard: dict[str, Any]) -> None:
    shown = {name for expression in expressions(dashboard) for name in re.findall(r"ray_\w+", expression)}
    assert {SERIES[name].name for name in shown} == {metric.name for metric in METRICS}


def test_the_dashboard_has_the_fields_that_grafana_asks_for(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"] and dashboard["title"] and dashboard["schemaVersion"] >= 36
    (source,) = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert panel["type"] in {"timeseries", "stat", "bargauge"} and panel["title"]
        assert place["x"] + place["w"] <= 24 and place["h"] > 0 and place["y"] >= 0
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
