"""Figures of a run: rates, states, waiting, ETA, failures by class; the line, the table, the log."""

import io
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from rich.console import Console

from runtime.ray_runner.display import progress
from runtime.ray_runner.display.progress import Figures, PoolFigures, PoolOutline, ProgressTracker, outline_pools
from runtime.ray_runner.display.progress_view import duration, figures_line, figures_table, open_display
from runtime.ray_runner.reports import BusyClock, FinishedShard, Heartbeat
from runtime.ray_runner.stage import PoolSettings, ServiceSpec, StageSpec


def tracker_of(stages: dict[str, int], services: Iterable[str] = (), uses: Iterable[str] = ()) -> ProgressTracker:
    """A tracker at time 0 of stages one behind the other; the last one calls the services in `uses`."""
    names = [None, *stages]
    last = names[-1]
    outlines = [
        PoolOutline(name, total, upstream=names[number], services=tuple(uses) if name == last else ())
        for number, (name, total) in enumerate(stages.items())
    ]
    return ProgressTracker([*outlines, *(PoolOutline(service) for service in services)], now=0)


def running(stages: dict[str, int], services: Iterable[str] = (), uses: Iterable[str] = ()) -> ProgressTracker:
    """A tracker whose pools have all started at time 0."""
    tracker = tracker_of(stages, services, uses)
    tracker.begin([*stages, *services], 0)
    tracker.set_starting([], 0)
    return tracker


def pool(tracker: ProgressTracker, name: str, now: float) -> PoolFigures:
    return next(p for p in tracker.figures(now).pools if p.pool == name)


def drawn(figures: Figures, status: str = "", title: str = "run demo") -> str:
    screen = io.StringIO()
    Console(file=screen, width=120).print(figures_table(title, figures, status))
    return screen.getvalue()


def _never_built(services: object) -> NoReturn:
    raise AssertionError("the tracker builds no worker")


def test_counts_add_up_over_shards_and_a_shard_counts_once() -> None:
    tracker = running({"media": 3})
    assert tracker.finish(FinishedShard("media", 0, {"clips": 2, "tokens": 10}), 1)
    assert not tracker.finish(FinishedShard("media", 0, {"clips": 2, "tokens": 10}), 1)
    tracker.finish(FinishedShard("media", 2, {"clips": 1}), 2)
    assert tracker.counts() == {"media": {"clips": 3, "tokens": 10}}
    assert tracker.shards_done() == {"media": 2}
    assert tracker.missing("media", [0, 1, 2]) == [1]


def test_rates_are_over_the_last_minute() -> None:
    tracker = running({"media": 1000})
    for second in range(1, 121):
        if second <= 60:
            tracker.finish(FinishedShard("media", second, {"clips": 10}), second)
        tracker.tick(second)
    assert pool(tracker, "media", 120).clips_per_second == pytest.approx(0, abs=0.2)
    for second in range(121, 181):
        tracker.finish(FinishedShard("media", second, {"clips": 3}), second)
        tracker.tick(second)
    assert pool(tracker, "media", 180).clips_per_second == pytest.approx(3, rel=0.05)


def test_rates_are_not_measured_from_before_a_stage_began() -> None:
    tracker = tracker_of({"media": 10})
    for second in range(100):
        tracker.tick(second)
    tracker.begin(["media"], 100)
    tracker.set_starting([], 100)
    tracker.finish(FinishedShard("media", 0, {"clips": 6}), 102)
    assert pool(tracker, "media", 102).clips_per_second == 3


def test_a_stage_that_is_done_keeps_the_rates_of_its_whole_work() -> None:
    tracker = running({"media": 2, "rewrite": 2})
    tracker.add_heartbeat(Heartbeat("media", "w", 30, 10))
    tracker.finish(FinishedShard("media", 0, {"clips": 10}), 20)
    tracker.finish(FinishedShard("media", 1, {"clips": 30}), 40)
    for second in range(41, 600):
        tracker.tick(second)
        tracker.add_heartbeat(Heartbeat("media", "w", 30, second - 30))
    for whole_run in (False, True):
        media = tracker.figures(600, whole_run).pools[0]
        assert (media.state, media.clips_per_second, media.waits) == ("done", 1, 0.25)
        assert media.eta is None


def test_work_on_a_shard_shows_before_it_is_done_and_is_not_counted_twice() -> None:
    tracker = running({"media": 2})
    tracker.add_heartbeat(Heartbeat("media", "w", 5, 0, {0: {"clips": 4}}))
    assert pool(tracker, "media", 10).counts == {"clips": 4}
    tracker.finish(FinishedShard("media", 0, {"clips": 6}), 10)
    assert pool(tracker, "media", 10).counts == {"clips": 6}


def test_a_lost_worker_is_not_counted_but_its_seconds_are() -> None:
    tracker = running({"media": 2})
    tracker.add_heartbeat(Heartbeat("media", "a", 5, 1, {0: {"clips": 4}}))
    tracker.add_heartbeat(Heartbeat("media", "b", 2, 0, {1: {"clips": 1}}))
    tracker.remove_worker("media", "a")
    media = pool(tracker, "media", 10)
    assert (media.workers, media.busy_seconds, media.counts) == (1, 7, {"clips": 1})


def test_waits_are_the_share_of_idle_time_of_all_workers_in_the_last_minute() -> None:
    tracker = running({"media": 2}, ["llm"])
    tracker.add_heartbeat(Heartbeat("llm", "a", busy=0, idle=60))
    for second in range(0, 61):
        tracker.tick(second)
    tracker.add_heartbeat(Heartbeat("llm", "a", busy=15, idle=105))
    assert pool(tracker, "llm", 120).waits == pytest.approx(0.75)
    assert pool(tracker, "media", 120).waits is None


def test_a_stage_waits_for_the_one_before_it_until_that_is_done() -> None:
    tracker = running({"media": 1, "rewrite": 2})
    tracker.add_heartbeat(Heartbeat("rewrite", "w", busy=37, idle=63))
    assert "rewrite 0/2 shards, waiting for media 63 %" in figures_line("run", tracker.figures(100), "")
    tracker.finish(FinishedShard("media", 0, {}), 100)
    assert "rewrite 0/2 shards, idle 63 %" in figures_line("run", tracker.figures(100), "")


def test_eta_is_by_the_pace_so_far_and_unknown_before_the_first_shard() -> None:
    tracker = tracker_of({"media": 10, "rewrite": 10})
    tracker.begin(["media", "rewrite"], 100)
    tracker.set_starting([], 101)
    assert tracker.figures(150).eta is None
    for shard in range(5):
        tracker.finish(FinishedShard("media", shard, {}), 150)
    tracker.finish(FinishedShard("rewrite", 0, {}), 150)
    figures = tracker.figures(150)
    assert {p.pool: p.eta for p in figures.pools} == {"media": 50, "rewrite": 450}
    assert figures.eta == 450


def test_there_is_no_eta_while_an_engine_starts_and_its_start_does_not_count_as_pace() -> None:
    tracker = tracker_of({"media": 4, "rewrite": 4}, ["llm"], uses=["llm"])
    tracker.begin(["media", "rewrite", "llm"], 0)
    tracker.set_starting(["llm"], 10)
    tracker.finish(FinishedShard("media", 0, {}), 40)
    for second in (60, 200, 300):
        tracker.set_starting(["llm"], second)
        figures = tracker.figures(second)
        assert figures.eta is None and all(p.eta is None for p in figures.pools)
        assert figures_line("run", figures, "").endswith("starting llm engine…")
        assert "starting llm engine…" in drawn(figures) and "ETA" not in drawn(figures).splitlines()[0]
    tracker.set_starting([], 301)
    tracker.finish(FinishedShard("rewrite", 0, {}), 310)
    assert pool(tracker, "rewrite", 310).eta == 30  # three shards of ten seconds, not of a hundred
    assert pool(tracker, "media", 310).eta == 930


def test_every_pool_says_its_state() -> None:
    tracker = tracker_of({"media": 1, "caption": 1, "rewrite": 1}, ["llm"], uses=["llm"])
    tracker.begin(["media", "caption"], 0)
    tracker.set_starting(["caption"], 1)
    states = {p.pool: p.state for p in tracker.figures(1).pools}
    assert states == {
        "media": "ready",
        "caption": "starting",
        "rewrite": "waiting for its turn",
        "llm": "waiting for its turn",
    }
    assert figures_line("run", tracker.figures(1), "").startswith(
        "run 0:01 | media 0/1 shard, ready | caption 0/1 shard, starting | rewrite 0/1 shard, waiting for its turn"
    )
    tracker.set_starting([], 2)
    assert [p.state for p in tracker.figures(2).pools[:2]] == ["working", "working"]


def test_no_wait_is_shown_before_work_can_begin() -> None:
    tracker = tracker_of({"media": 1}, ["llm"])
    tracker.begin(["media", "llm"], 0)
    tracker.set_starting(["media"], 1)
    tracker.add_heartbeat(Heartbeat("llm", "w", busy=0, idle=5))
    assert figures_line("run", tracker.figures(9), "").startswith(
        "run 0:09 | media 0/1 shard, starting | llm 1 worker, ready"
    )


def test_a_table_stage_counts_tables() -> None:
    stages = [
        StageSpec("media", _never_built, PoolSettings(), range(3)),
        StageSpec("dedup", _never_built, PoolSettings(), (-1,), ("llm",), unit="table"),
    ]
    services = [ServiceSpec(name, lambda: None, PoolSettings()) for name in ("llm", "unused")]
    tracker = ProgressTracker(outline_pools(stages, services), 0)
    assert figures_line("run", tracker.figures(0), "") == (
        "run 0:00 | media 0/3 shards, waiting for its turn | dedup 0/1 table, waiting for its turn"
        " | llm waiting for its turn"
    )


def test_the_final_figures_are_over_the_whole_run() -> None:
    tracker = running({"media": 2})
    for second in range(300):
        tracker.tick(second)
    tracker.finish(FinishedShard("media", 0, {"tokens": 3000}), 300)
    (final,) = tracker.figures(300, whole_run=True).pools
    assert final.tokens_per_second == pytest.approx(10)


def test_failures_are_shown_by_class() -> None:
    tracker = running({"media": 1})
    tracker.finish(FinishedShard("media", 0, {"failed:private": 2, "failed:corrupt": 1, "clips": 5}), 1)
    assert pool(tracker, "media", 1).failed == {"private": 2, "corrupt": 1}
    assert "failed: corrupt 1, private 2" in figures_line("run", tracker.figures(1), "")


def test_the_line_and_the_table_say_the_same() -> None:
    tracker = running({"media": 4}, ["llm"])
    tracker.finish(FinishedShard("media", 0, {"clips": 30}), 30)
    tracker.add_heartbeat(Heartbeat("llm", "a", busy=1, idle=3))
    tracker.tick(30)
    figures = tracker.figures(30)
    assert figures_line("run demo", figures, "stages stream") == (
        "run demo 0:30 | media 1/4 shards, 1.00 clips/s | llm 1 worker, idle 75 % | ETA 1:30 | stages stream"
    )
    for words in ("run demo", "1/4 shards", "1.00", "idle 75 %", "1:30", "stages stream"):
        assert words in drawn(figures, "stages stream")


def test_a_title_or_status_in_brackets_is_no_markup() -> None:
    text = drawn(running({"m": 1}).figures(1), "[bold]", "[/red] run")
    assert "[/red] run" in text and "[bold]" in text


def test_the_log_is_lines_of_json_with_time_and_figures(tmp_path: Path) -> None:
    tracker = running({"media": 2})
    tracker.finish(FinishedShard("media", 1, {"clips": 3}), 1)
    with open_display("run", tmp_path / "log", quiet=True) as shown:
        shown.show(tracker.figures(1.5))
        shown.end(tracker.figures(2), "done")
    (path,) = (tmp_path / "log").glob("*.jsonl")
    first, last = (json.loads(text) for text in path.read_text().splitlines())
    assert (first["event"], last["event"], last["status"]) == ("progress", "end", "done")
    assert "time" in first
    assert first["pools"]["media"]["done"] == 1
    assert first["pools"]["media"]["counts"] == {"clips": 3}


def test_without_a_terminal_plain_lines_and_a_last_table_go_to_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.ray_runner.display.progress_view.PLAIN_SECONDS", 0.0)
    clock = itertools.count(0.0, 2.0)
    monkeypatch.setattr("runtime.ray_runner.display.progress_view.time", SimpleNamespace(monotonic=lambda: next(clock)))
    figures = running({"media": 2}).figures(2)
    with open_display("run", None, quiet=False) as shown:
        shown.show(figures, "stages stream")
        shown.show(figures, "stages stream")
        shown.end(figures, "all is done")
    captured = capsys.readouterr()
    assert captured.err.splitlines()[:2] == [
        "run 0:02 | media 0/2 shards | stages stream",
        "run 0:02 | media 0/2 shards",
    ]
    assert captured.err.splitlines()[-1].strip() == "all is done"
    assert captured.out == ""


def test_a_line_is_printed_at_once_when_an_engine_begins_to_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.ray_runner.display.progress_view.time", SimpleNamespace(monotonic=lambda: 0.0))
    tracker = tracker_of({"media": 2}, ["asr"], uses=["asr"])
    with open_display("run", None, quiet=False) as shown:
        shown.show(tracker.figures(0))
        tracker.begin(["media", "asr"], 0)
        shown.show(tracker.figures(0))
        shown.show(tracker.figures(0))
    assert capsys.readouterr().err.splitlines() == [
        "run 0:00 | media 0/2 shards, starting | asr starting | starting media, asr engine…"
    ]


def test_report_is_a_no_op_outside_a_runner() -> None:
    progress.report({"clips": 1})


def test_a_clock_counts_time_with_work_apart_from_time_without(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 2.0, 3.0, 5.0, 7.0, 8.0])
    monkeypatch.setattr("runtime.ray_runner.reports.time", SimpleNamespace(monotonic=lambda: next(now)))
    clock = BusyClock()  # 0
    with clock, clock:  # 2: idle 2; 3: busy 1
        pass  # 5: busy 3; 7: busy 5
    assert clock.read() == (5.0, 3.0)


def test_durations_read_as_clocks() -> None:
    assert [duration(s) for s in (4, 247, 3847)] == ["0:04", "4:07", "1:04:07"]


def test_the_most_workers_at_a_time_are_known_after_they_are_gone_and_queues_add_up() -> None:
    tracker = running({"media": 3}, ["llm"])
    tracker.add_heartbeat(Heartbeat("media", "a", 1, 0))
    tracker.add_heartbeat(Heartbeat("media", "b", 1, 0))
    for worker in ("a", "b"):
        tracker.remove_worker("media", worker)
    for worker in ("c", "d"):
        tracker.add_heartbeat(Heartbeat("llm", worker, 5, 0, waiting=2.0))
    media, llm = (pool(tracker, name, 10) for name in ("media", "llm"))
    assert (media.workers, media.most_workers) == (0, 2)
    assert (llm.most_workers, llm.queue_seconds) == (2, 4.0)
