"""Notes of what was begun: which deaths count against a video, and which don't."""

import threading
from pathlib import Path

import pytest

from runtime.attempts import DEATHS_ALLOWED, Attempts, SuspectGate, age_notes, remove_notes


def die_on(attempts: Attempts, source: str) -> None:
    """Leave a note as a process does that dies inside an attempt."""
    attempt = attempts.attempt(source)
    attempt.__enter__()
    note = attempts._folder / source
    marks = note.read_bytes()
    attempt.__exit__(None, None, None)
    note.write_bytes(marks)


@pytest.fixture
def attempts(tmp_path: Path) -> Attempts:
    return Attempts(tmp_path / "attempts" / "0000000")


def test_two_deaths_in_one_run_are_all_that_is_allowed(attempts: Attempts) -> None:
    die_on(attempts, "v")
    assert attempts.deaths("v") == 1
    die_on(attempts, "v")
    assert attempts.deaths("v") == DEATHS_ALLOWED


def test_an_attempt_that_ends_well_leaves_earlier_deaths_noted(attempts: Attempts) -> None:
    die_on(attempts, "v")
    with attempts.attempt("v"):
        pass
    assert attempts.deaths("v") == 1


def test_deaths_on_one_video_do_not_count_against_another(attempts: Attempts) -> None:
    die_on(attempts, "v")
    assert attempts.deaths("w") == 0


def test_a_run_that_was_killed_whole_counts_half(attempts: Attempts, tmp_path: Path) -> None:
    deaths = []
    for _ in range(4):
        die_on(attempts, "v")
        age_notes(tmp_path / "attempts")
        deaths.append(attempts.deaths("v"))
    assert deaths == [0, 1, 1, DEATHS_ALLOWED]


def test_an_attempt_after_a_killed_run_leaves_its_note_as_it_was(attempts: Attempts, tmp_path: Path) -> None:
    die_on(attempts, "v")
    age_notes(tmp_path / "attempts")
    with attempts.attempt("v"):
        assert attempts.deaths("v") == 1
    die_on(attempts, "v")
    assert attempts.deaths("v") == 1


def test_nothing_is_remembered_of_a_run_that_came_to_its_end(attempts: Attempts, tmp_path: Path) -> None:
    die_on(attempts, "v")
    remove_notes(tmp_path / "attempts")
    assert attempts.deaths("v") == 0


def test_folders_that_are_not_there_are_no_error(tmp_path: Path) -> None:
    age_notes(tmp_path / "nowhere")
    remove_notes(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_suspect_is_tried_alone_and_all_others_together() -> None:
    gate, together, seen = SuspectGate(), threading.Barrier(3), list[str]()

    def innocent() -> None:
        with gate.entered(alone=False):
            together.wait(30)

    def suspect(name: str) -> None:
        with gate.entered(alone=True):
            seen.append(f"{name} in")
            seen.append(f"{name} out")

    threads = [threading.Thread(target=innocent) for _ in range(2)]
    for thread in threads:
        thread.start()
    while gate._inside < 2:
        pass
    suspects = [threading.Thread(target=suspect, args=(name,)) for name in "ab"]
    for thread in suspects:
        thread.start()
    assert seen == [], "two others are at work"
    together.wait(30)
    for thread in (*threads, *suspects):
        thread.join(30)
    assert sorted(seen[:2]) in (["a in", "a out"], ["b in", "b out"]) and len(seen) == 4
