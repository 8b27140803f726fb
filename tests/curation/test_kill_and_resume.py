"""Runs that are stopped or killed, as processes of their own: nothing is lost, doubled, or left running."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.broken_videos import path_of
from support.curate_runs import (
    CHEAP,
    RUN_SECONDS,
    Ended,
    config_in,
    curate,
    end_of,
    finished,
    run_arguments,
    start_curate,
    wait_until,
)
from support.dir_contents import all_rows, assert_texts_hold, latest_states, shape, snapshot
from support.fake_llm import Body, FakeLLM, Reply
from support.model_replies import careful, has_image
from support.processes import below, still_running

from runtime.processes import ffmpeg_binary
from shards.storage.dir_lock import read_lock
from shards.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]  # one fixture has several runs, of `RUN_SECONDS` each


def ffmpeg_that(root: Path, script: str) -> dict[str, str]:
    """Return an environment whose ffmpeg first runs shell lines; `{root}` in them is the folder."""
    (root / "bin").mkdir()
    path = root / "bin" / "ffmpeg"
    path.write_text(f'#!/bin/sh\n{script.format(root=root)}\nexec "{ffmpeg_binary()}" "$@"\n')
    path.chmod(0o755)
    return {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


# Stopped and killed in the middle, again and again


@dataclass(frozen=True)
class Survivor:
    """A DIR whose run was killed, then interrupted, then finished, with observations after each step."""

    dir: Path
    committed_when_killed: list[str]
    orphans_of_killed: list[str]
    lock_pid: int | None
    refused: Ended
    status_when_interrupted: int
    said_when_interrupted: str
    orphans_of_interrupted: list[str]
    committed_when_interrupted: dict[str, tuple[str, int]]
    checked_when_interrupted: Ended
    final_status: int


_HOLDS_THE_LAST_SHARD = 'case "$*" in *variable_rate*) exec sleep 600 ;; esac'


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Survivor:
    """SIGKILL when the first shard's media are committed; then Ctrl-C while texts are made; then undisturbed."""
    root = tmp_path_factory.mktemp("survivor")
    gate = threading.Event()

    def held(body: Body) -> Reply:
        if not has_image(body):
            gate.wait(RUN_SECONDS)
        return careful(body)

    with FakeLLM(held) as llm:
        done = finished()
        arguments = run_arguments(CHEAP, config_in(root), done.inputs, root / "out", llm)
        arguments += ["--exclude", done.excluded]

        killed = start_curate(*arguments, log=root / "killed", env=ffmpeg_that(root, _HOLDS_THE_LAST_SHARD))
        wait_until((root / "out" / "media" / "0000000.parquet").exists, killed, root / "killed")
        killed_children = below(killed.pid)
        killed.kill()
        killed.wait()
        orphans_of_killed = still_running(killed_children)
        lock = read_lock(Store(root / "out"))
        left = sorted(snapshot(root / "out"))

        interrupted = start_curate(*arguments, log=root / "interrupted")
        wait_until(lambda: any(not has_image(body) for body in list(llm.requests)), interrupted, root / "interrupted")
        refused = curate(*arguments)
        interrupted_children = below(interrupted.pid)
        os.killpg(interrupted.pid, signal.SIGINT)  # as a terminal does: the whole group gets it
        status = end_of(interrupted)
        orphans_of_interrupted = still_running(interrupted_children)
        between, checked = snapshot(root / "out"), curate("check", root / "out", "--quick")

        gate.set()
        final = end_of(start_curate(*arguments, log=root / "final"))
        return Survivor(
            dir=root / "out",
            committed_when_killed=left,
            orphans_of_killed=orphans_of_killed,
            lock_pid=lock.pid - killed.pid if lock else None,
            refused=refused,
            status_when_interrupted=status,
            said_when_interrupted=(root / "interrupted").read_text(),
            orphans_of_interrupted=orphans_of_interrupted,
            committed_when_interrupted=between,
            checked_when_interrupted=checked,
            final_status=final,
        )


def test_a_driver_that_is_killed_outright_leaves_no_process_behind(survivor: Survivor) -> None:
    assert "media/0000000.parquet" in survivor.committed_when_killed
    assert "media/0000002.parquet" not in survivor.committed_when_killed, "it was killed too late to be of use"
    assert survivor.lock_pid == 0, "its lock is still there, with its process id"
    assert survivor.orphans_of_killed == []


def test_a_second_run_on_the_same_dir_is_refused_with_the_holder(survivor: Survivor) -> None:
    assert survivor.refused.status == 2
    assert survivor.refused.err.count("\n") == 1
    assert "another run holds this folder (process " in survivor.refused.err


def test_ctrl_c_ends_a_run_cleanly_with_status_130(survivor: Survivor) -> None:
    assert survivor.status_when_interrupted == 130
    assert "Traceback" not in survivor.said_when_interrupted
    assert "curate: interrupted; finished shards are kept" in survivor.said_when_interrupted
    assert survivor.orphans_of_interrupted == []
    assert not (survivor.dir / ".lock").exists()
    assert survivor.checked_when_interrupted.status == 0, survivor.checked_when_interrupted.out


def test_committed_artifacts_are_not_made_again(survivor: Survivor) -> None:
    assert survivor.final_status == 0
    before, after = survivor.committed_when_interrupted, snapshot(survivor.dir)
    kept = [name for name in before if name.endswith((".tar", ".parquet")) and name != "index.parquet"]
    assert kept
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_keys_members_and_columns_are_those_of_an_undisturbed_run(survivor: Survivor) -> None:
    undisturbed = shape(finished().store, "small")
    assert shape(Store(survivor.dir), CHEAP) == undisturbed


def test_sources_end_in_the_same_states_as_in_an_undisturbed_run(survivor: Survivor) -> None:
    states = [
        [(row["source"], row["state"], row["class"], row["attempt"], row["clips"]) for row in all_rows(store, "ledger")]
        for store in (Store(survivor.dir), finished().store)
    ]
    assert states[0] == states[1]
    assert latest_states(Store(survivor.dir)) == latest_states(finished().store)


def test_the_dir_passes_its_check_after_all_this(survivor: Survivor) -> None:
    ended = curate("check", survivor.dir)
    assert ended.status == 0, ended.out
    assert assert_texts_hold(Store(survivor.dir), CHEAP).keys() == {"ok"}


# Videos that kill their worker

_ENDS_ITS_PARENT = """
# As a crash in a decoder would, when it is given a certain file.
case "$*" in
  *kills-always*) kill -9 $PPID; sleep 5; exit 1 ;;
  *kills-once*) if mkdir "{root}/once" 2>/dev/null; then kill -9 $PPID; sleep 5; exit 1; fi ;;
esac
"""


@dataclass(frozen=True)
class Crashed:
    """A run whose videos killed its workers."""

    root: Path
    """Folder with the DIR ``out`` and the command's output ``said``."""
    status: int


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    """A run over one shard of four videos: one kills its worker always, another the first time, two are good."""
    root = tmp_path_factory.mktemp("crashed")
    (root / "in").mkdir()
    for number, name in enumerate(("a-good", "b-kills-always", "c-kills-once", "d-good")):
        target = root / "in" / f"{name}.mp4"
        shutil.copyfile(path_of("good"), target)
        with target.open("ab") as file:
            file.write(bytes([number]))  # other bytes, so another video
    arguments = [*run_arguments(CHEAP, config_in(root), root / "in", root / "out"), "--stages", "media"]
    process = start_curate(*arguments, log=root / "said", env=ffmpeg_that(root, _ENDS_ITS_PARENT))
    return Crashed(root, end_of(process))


def test_a_run_survives_videos_that_kill_their_worker(crashed: Crashed) -> None:
    root = crashed.root
    assert crashed.status == 0, (root / "said").read_text()
    assert "Traceback" not in (root / "said").read_text()
    assert (root / "once").exists()


def test_a_video_that_killed_its_worker_twice_is_internal_and_all_others_are_written_once(crashed: Crashed) -> None:
    root = crashed.root
    outcomes = {Path(row["source"]).stem: row for row in all_rows(Store(root / "out"), "ledger")}
    assert {name: (row["state"], row["class"]) for name, row in outcomes.items()} == {
        "a-good": ("written", None),
        "b-kills-always": ("failed", "internal"),
        "c-kills-once": ("written", None),
        "d-good": ("written", None),
    }
    assert "ended its worker process twice" in outcomes["b-kills-always"]["message"]
    keys = [row["key"] for row in all_rows(Store(root / "out"), "media")]
    assert len(keys) == len(set(keys)) == 3
    assert latest_states(Store(root / "out")) == {"written": 3, "failed": 1}
    assert curate("check", root / "out").status == 0
