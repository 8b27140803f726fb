"""The trace of a run: Chrome's trace events, one for each stage of each shard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.ray_runner.telemetry.shard_trace import ShardTrace
from runtime.ray_runner.telemetry.work_span import WorkSpan


def events(path: Path) -> list[dict[str, Any]]:
    """The events of a trace; its list has no end, so that a killed run leaves a trace too."""
    read: list[dict[str, Any]] = json.loads(path.read_text().rstrip().rstrip(",") + "]")
    return read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The trace of two shards: one after another through `media`, both at once through `rewrite`."""
    trace = ShardTrace(tmp_path / "run.trace.json", "run")
    trace.add("media", 0, WorkSpan(100.0, 2.0, "worker-a", "node-1"), {"clips": 3})
    trace.add("media", 1, WorkSpan(102.0, 1.0, "worker-a", "node-1"), {"clips": 4})
    trace.add("rewrite", 0, WorkSpan(102.5, 1.0, "worker-b", "node-2"), {"tokens": 1 / 3})
    trace.add("rewrite", 1, WorkSpan(103.0, 2.0, "worker-b", "node-2"), {"tokens": 20})
    trace.close()
    return tmp_path / "run.trace.json"


def test_each_stage_of_a_shard_is_an_event_with_its_time_and_counts(path: Path) -> None:
    spans = [event for event in events(path) if event["ph"] == "X"]
    assert [(event["name"], event["args"]["shard"]) for event in spans] == [
        ("media", 0),
        ("media", 1),
        ("rewrite", 0),
        ("rewrite", 1),
    ]
    assert (spans[0]["ts"], spans[0]["dur"]) == (100e6, 2e6)
    assert spans[0]["args"]["clips"] == 3 and spans[2]["args"]["tokens"] == 0.333
    assert spans[0]["args"]["trace"] == spans[2]["args"]["trace"] == "run/0"


def test_a_node_is_a_process_and_shards_in_hand_at_once_are_threads_of_their_own(path: Path) -> None:
    spans = [event for event in events(path) if event["ph"] == "X"]
    assert [(event["pid"], event["tid"]) for event in spans] == [(1, 1), (1, 1), (2, 2), (2, 3)]
    names = {(e["name"], e["pid"]): e["args"]["name"] for e in events(path) if e["ph"] == "M"}
    assert names["process_name", 1] == "node-1" and names["process_name", 2] == "node-2"


def test_arrows_lead_from_a_shards_first_stage_to_its_next(path: Path) -> None:
    arrows = [event for event in events(path) if event["name"] == "shard"]
    assert [(event["id"], event["ph"]) for event in arrows] == [(1, "s"), (2, "s"), (1, "t"), (2, "t")]


def test_a_run_without_a_finished_shard_leaves_no_trace(tmp_path: Path) -> None:
    ShardTrace(tmp_path / "run.trace.json", "run").close()
    assert not list(tmp_path.iterdir())
