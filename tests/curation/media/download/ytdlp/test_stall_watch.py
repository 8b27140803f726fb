"""A stalled download is detected; local work does not count as a stall."""

import threading
import time
from types import SimpleNamespace

import pytest
from support.waiting import PATIENCE

from curation.media.download.ytdlp.stall_watch import StallWatch


def test_the_watch_calls_back_when_too_few_bytes_arrive() -> None:
    called = threading.Event()
    watch = StallWatch(0.3, 1000, lambda _: called.set())
    watch.suspend(False)
    for size in range(1, 20):
        watch.arrived("x", size)
        time.sleep(0.03)
    assert called.wait(PATIENCE)


def test_the_watch_is_quiet_while_enough_bytes_arrive_and_during_local_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = [0.0], threading.Semaphore(0)

    def look(seconds: float) -> None:
        looks.release()
        time.sleep(0.001)

    monkeypatch.setattr(
        "curation.media.download.ytdlp.stall_watch.time", SimpleNamespace(monotonic=lambda: now[0], sleep=look)
    )
    called = threading.Event()
    watch = StallWatch(30.0, 1000, lambda _: called.set())

    def pass_(seconds: float) -> None:
        now[0] += seconds
        for _ in range(2):  # a check that began before the clock moved does not count
            assert looks.acquire(timeout=PATIENCE) or called.is_set()
        while looks.acquire(blocking=False):
            pass

    pass_(1000)
    watch.suspend(False)
    for size in range(1, 5):
        pass_(20)
        watch.arrived("x", size * 40_000)
    watch.suspend(True)
    pass_(1000)
    assert not called.is_set()
    watch.suspend(False)
    now[0] += 31
    assert called.wait(PATIENCE), "the watch was awake"


def test_the_end_of_long_local_work_does_not_count_as_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    now, me = [0.0], threading.current_thread()

    def monotonic() -> float:
        if threading.current_thread() is me:
            time.sleep(0.05)  # time for many looks
        return now[0]

    monkeypatch.setattr(
        "curation.media.download.ytdlp.stall_watch.time", SimpleNamespace(monotonic=monotonic, sleep=lambda _: None)
    )
    called = threading.Event()
    watch = StallWatch(30.0, 1000, lambda _: called.set())
    now[0] += 1000
    watch.suspend(False)
    watch.suspend(True)
    assert not called.is_set()
