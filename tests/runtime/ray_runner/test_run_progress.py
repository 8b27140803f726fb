"""Figures of a run: rates over the last minute, waits, ETA, failures by class; the line, the table, the log."""

import io
import itertools
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from runtime.ray_runner import progress
from runtime.ray_runner.coordinator import Beat, Clock, Done
from runtime.ray_runner.progress import Board
from runtime.ray_runner.progress_view import display, duration, line, table


def pool(board, name, now):
    return next(p for p in board.figures(now).pools if p.pool == name)


def test_counts_add_up_over_shards_and_a_shard_counts_once():
    board = Board({"media": 3}, [], now=0)
    assert board.finish(Done("media", 0, {"clips": 2, "tokens": 10}))
    assert not board.finish(Done("media", 0, {"clips": 2, "tokens": 10}))
    board.finish(Done("media", 2, {"clips": 1}))
    assert board.counts() == {"media": {"clips": 3, "tokens": 10}}
    assert board.shards_done() == {"media": 2}
    assert board.missing("media", [0, 1, 2]) == [1]


def test_rates_are_over_the_last_minute():
    board = Board({"media": 100}, [], now=0)
    for second in range(1, 121):
        if second <= 60:
            board.finish(Done("media", second, {"clips": 10}))
        board.tick(second)
    assert pool(board, "media", 120).clips_per_second == pytest.approx(0, abs=0.2)
    for second in range(121, 181):
        board.finish(Done("media", second, {"clips": 3}))
        board.tick(second)
    assert pool(board, "media", 180).clips_per_second == pytest.approx(3, rel=0.05)


def test_work_on_a_shard_shows_before_it_is_done_and_is_not_counted_twice():
    board = Board({"media": 2}, [], now=0)
    board.beat(Beat("media", "w", 5, 0, {0: {"clips": 4}}))
    assert pool(board, "media", 10).counts == {"clips": 4}
    board.finish(Done("media", 0, {"clips": 6}))
    assert pool(board, "media", 10).counts == {"clips": 6}


def test_waits_are_the_share_of_idle_time_of_all_workers_in_the_last_minute():
    board = Board({"media": 2}, ["llm"], now=0)
    board.beat(Beat("llm", "a", busy=0, idle=60))
    for second in range(0, 61):
        board.tick(second)
    board.beat(Beat("llm", "a", busy=15, idle=105))
    assert pool(board, "llm", 120).waits == pytest.approx(0.75)
    assert pool(board, "media", 120).waits is None


def test_eta_is_by_the_pace_so_far_and_unknown_before_the_first_shard():
    board = Board({"media": 10, "rewrite": 10}, [], now=0)
    board.begin(["media", "rewrite"], 100)
    assert board.figures(150).eta is None
    for shard in range(5):
        board.finish(Done("media", shard, {}))
    board.finish(Done("rewrite", 0, {}))
    figures = board.figures(150)
    assert {p.pool: p.eta for p in figures.pools} == {"media": 50, "rewrite": 450}
    assert figures.eta == 450


def test_the_final_figures_are_over_the_whole_run():
    board = Board({"media": 1}, [], now=0)
    for second in range(300):
        board.tick(second)
    board.finish(Done("media", 0, {"tokens": 3000}))
    (final,) = board.figures(300, whole_run=True).pools
    assert final.tokens_per_second == pytest.approx(10)


def test_failures_are_told_by_class():
    board = Board({"media": 1}, [], now=0)
    board.finish(Done("media", 0, {"failed:private": 2, "failed:corrupt": 1, "clips": 5}))
    assert pool(board, "media", 1).failed == {"private": 2, "corrupt": 1}
    assert "failed: corrupt 1, private 2" in line("run", board.figures(1), "")


def test_the_line_and_the_table_say_the_same():
    board = Board({"media": 4}, ["llm"], now=0)
    board.finish(Done("media", 0, {"clips": 30}))
    board.beat(Beat("llm", "a", busy=1, idle=3))
    board.tick(30)
    figures = board.figures(30)
    assert line("run demo", figures, "starting llm") == (
        "run demo 0:30 | media 1/4 1.00 clips/s | llm waits 75% | ETA 1:30 | starting llm"
    )
    screen = io.StringIO()
    Console(file=screen, width=100).print(table("run demo", figures, "starting llm"))
    for word in ("run demo", "1/4", "1.00", "75%", "1:30", "starting llm"):
        assert word in screen.getvalue()


def test_a_title_or_status_in_brackets_is_no_markup():
    screen = io.StringIO()
    Console(file=screen, width=100).print(table("[/red] run", Board({"m": 1}, [], 0).figures(1), "[bold]"))
    assert "[/red] run" in screen.getvalue() and "[bold]" in screen.getvalue()


def test_the_log_is_lines_of_json_with_time_and_figures(tmp_path):
    board = Board({"media": 2}, [], now=0)
    board.finish(Done("media", 1, {"clips": 3}))
    with display("run", tmp_path / "log", quiet=True) as shown:
        shown.show(board.figures(1.5))
        shown.end(board.figures(2), "done")
    (path,) = (tmp_path / "log").glob("*.jsonl")
    first, last = (json.loads(text) for text in path.read_text().splitlines())
    assert (first["event"], last["event"], last["status"]) == ("progress", "end", "done")
    assert "time" in first
    assert first["pools"]["media"]["done"] == 1
    assert first["pools"]["media"]["counts"] == {"clips": 3}


def test_without_a_terminal_plain_lines_and_a_last_table_go_to_standard_error(capsys, monkeypatch):
    monkeypatch.setattr("runtime.ray_runner.progress_view.PLAIN_SECONDS", 0.0)
    clock = itertools.count(0.0, 2.0)
    monkeypatch.setattr("runtime.ray_runner.progress_view.time", SimpleNamespace(monotonic=lambda: next(clock)))
    figures = Board({"media": 2}, [], now=0).figures(2)
    with display("run", None, quiet=False) as shown:
        shown.show(figures)
        shown.end(figures, "done")
    captured = capsys.readouterr()
    assert captured.err.splitlines()[0] == "run 0:02 | media 0/2"
    assert captured.err.splitlines()[-1].strip() == "done"
    assert captured.out == ""


def test_report_is_a_no_op_outside_a_runner():
    progress.report({"clips": 1})


def test_a_clock_tells_time_with_work_from_time_without(monkeypatch):
    now = iter([0.0, 2.0, 3.0, 5.0, 7.0, 8.0])
    monkeypatch.setattr("runtime.ray_runner.coordinator.time", SimpleNamespace(monotonic=lambda: next(now)))
    clock = Clock()  # 0
    with clock, clock:  # 2: idle 2; 3: busy 1
        pass  # 5: busy 3; 7: busy 5
    assert clock.read() == (5.0, 3.0)


def test_durations_read_as_clocks():
    assert [duration(s) for s in (4, 247, 3847)] == ["0:04", "4:07", "1:04:07"]
