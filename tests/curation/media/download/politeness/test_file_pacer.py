"""The pacer of one machine: workers in several processes share a file."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from support.waiting import PATIENCE

from curation.media.download.politeness.file_pacer import FilePacer, node_name
from curation.media.download.politeness.pace_limits import Granted, PaceLimits, Postponed, VisitEnd, Visitor, Wait

LIMITS = PaceLimits(concurrency=1, postpone_after=2, backoff=0.0)


def _visitor(lease: str = "x:1:1") -> Visitor:
    return Visitor("a", lease, "x")


def test_workers_of_a_folder_share_slots_and_refusals_of_a_run(tmp_path: Path) -> None:
    one, two = FilePacer(tmp_path, LIMITS, "run"), FilePacer(tmp_path, LIMITS, "run")
    assert isinstance(one.ask(_visitor()), Granted)
    assert isinstance(two.ask(_visitor("x:2:2")), Wait)
    for pacer in (one, two):
        pacer.end(_visitor(), VisitEnd("refused"))
    assert isinstance(two.ask(_visitor()), Postponed)
    assert isinstance(FilePacer(tmp_path, LIMITS, "next run").ask(_visitor()), Granted)


def test_the_slot_of_a_process_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    pacer = FilePacer(tmp_path, LIMITS)
    assert isinstance(pacer.ask(_visitor(f"{node_name()}:{int(ended.stdout)}:0")), Granted)
    assert isinstance(pacer.ask(_visitor("x:2:2")), Granted)


def test_a_change_of_the_date_does_not_move_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pacer = FilePacer(tmp_path, PaceLimits(interval=3600.0))
    assert isinstance(pacer.ask(_visitor()), Granted)
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert isinstance(pacer.ask(_visitor("x:2:2")), Wait)


@pytest.mark.parametrize("content", ["{", '{"saved": 1e12, "not_before": 2e12}'], ids=["damaged", "before a restart"])
def test_a_state_that_is_of_no_use_is_dropped(tmp_path: Path, content: str) -> None:
    (tmp_path / "sites.json").write_text(content)
    assert isinstance(FilePacer(tmp_path, LIMITS).ask(_visitor()), Granted)


def test_threads_that_ask_together_are_granted_one_start_an_interval(tmp_path: Path) -> None:
    pacer, starts = FilePacer(tmp_path, PaceLimits(interval=0.2)), list[float]()

    def ask(number: int) -> None:
        began, answer = time.monotonic(), pacer.ask(_visitor(f"x:{number}:0"))
        assert isinstance(answer, Granted)
        starts.append(began + answer.start_in)

    _together([lambda number=number: ask(number) for number in range(4)])  # type: ignore[misc]
    gaps = [after - before for before, after in pairwise(sorted(starts))]
    assert sum(gaps) >= 0.55


def _together(jobs: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
