"""Starts at a host are paced across all workers of a machine."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.waiting import PATIENCE

from curation.media.download.politeness.host_pacing import host_slot, postpone, site_of


class Clock(threading.local):
    """A clock that only `sleep` moves, for the thread that sleeps."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that `host_pacing` uses."""
    clock = Clock()
    monkeypatch.setattr("curation.media.download.politeness.host_pacing.time", clock)
    return clock


def test_starts_at_a_host_are_apart_by_the_interval(clock: Clock, tmp_path: Path) -> None:
    starts: list[float] = []

    def visit() -> None:
        with host_slot("a", tmp_path, interval=0.5, slots=9):
            starts.append(clock.now)

    _together([visit] * 3)
    assert sorted(starts) == [1000.0, 1000.5, 1001.0]


def test_a_host_that_asks_for_time_gets_it(clock: Clock, tmp_path: Path) -> None:
    postpone("a", tmp_path, 40.0)
    with host_slot("a", tmp_path, interval=0, slots=1):
        assert clock.now == 1040.0


def test_no_more_downloads_run_at_a_host_than_it_has_slots(tmp_path: Path) -> None:
    most, inside, lock, two = 0, 0, threading.Lock(), threading.Barrier(2, timeout=PATIENCE)

    def visit() -> None:
        nonlocal most, inside
        with host_slot("a", tmp_path, interval=0, slots=2):
            with lock:
                inside += 1
                most = max(most, inside)
            two.wait()
            time.sleep(0.1)
            with lock:
                inside -= 1

    _together([visit] * 6)
    assert most == 2


def test_hosts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    postpone("a", tmp_path, 3600)
    with host_slot("b", tmp_path, interval=3600, slots=1), host_slot("c", tmp_path, interval=3600, slots=1):
        pass


def _together(jobs: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.youtube.com/watch?v=a", "youtube.com"),
        ("https://m.YouTube.com/watch?v=a", "youtube.com"),
        ("https://youtu.be/a", "youtube.com"),
        ("https://www.youtube-nocookie.com/embed/a", "youtube.com"),
        ("https://player.vimeo.com/video/1", "vimeo.com"),
        ("https://cdn.example.org:8443/a.mp4", "cdn.example.org"),
        ("https://m.example.org/a", "example.org"),
    ],
)
def test_hosts_of_one_site_share_its_pace_and_its_refusals(url: str, site: str) -> None:
    assert site_of(url) == site
