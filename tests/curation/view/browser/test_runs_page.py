"""The page of runs: sources by state and class with the error's line, and what the logs say of speed."""

from __future__ import annotations

import json
from pathlib import Path

from support.shard_factory import build_dir
from support.viewers import viewing

from curation.view.browser.queries.source_outcomes import logged_runs, outcomes


def test_sources_are_counted_by_state_and_class_with_examples(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "out", shards=2)
    found = {(each.state, each.class_): each for each in outcomes(store)}
    assert found["written", ""].sources == 4 and found["written", ""].clips == 22
    failed = next(each for (state, _), each in found.items() if state == "failed")
    assert failed.sources == 2 and len(failed.examples) == 2
    with viewing(store) as client:
        page = client.get("/runs").text
    assert failed.class_ in page and str(failed.examples[0].message) in page and "No log in this DIR" in page


def test_a_log_becomes_shares_over_time_and_bad_lines_are_counted(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "out", shards=1)
    pool = {"total": 4, "unit": "shard", "counts": {"clips": 30}, "clips_per_second": 3.0, "waits": 0.25}
    pool |= {"worker_seconds": 3600.0, "cpus": 2.0, "gpus": 0.0}
    rows = [
        {"event": "start"},
        {"event": "progress", "elapsed": 5.0, "pools": {"media": {**pool, "done": 2}}},
        {"event": "end", "status": "done", "elapsed": 10.0, "pools": {"media": {**pool, "done": 4}}},
    ]
    lines = [*map(json.dumps, rows[:2]), "{broken", "[]", json.dumps(rows[2])]
    store.commit_bytes("\n".join(lines).encode(), "log/20260101T000000Z.jsonl")
    (run,) = logged_runs(store)
    assert (run.status, run.seconds, run.unreadable) == ("done", 10.0, 2)
    assert run.pools[0].points[0] == (5.0, 0.5) and run.pools[0].points[-1] == (10.0, 1.0)
    assert run.name == "20260101T000000Z" and run.pools[0].rates == [(5.0, 3.0), (10.0, 3.0)]
    with viewing(store) as client:
        page = client.get("/runs").text
    for words in ("4 of 4 shards", "up to 3 clips/s", "75% busy", "10 seconds, 2.00 CPU-hours", "2 lines of the log"):
        assert words in page, words
    assert 'class="rate" points="' in page and "older version" not in page
