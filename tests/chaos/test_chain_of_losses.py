"""One DIR whose runs lose processes of every kind at moments drawn from a seed: nothing is lost, nothing made twice.

The part of `make chaos` that is in `make test`, too, on a Ray of the command's own. Each run that a fault ends is
started again by the same command.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from support.chaos.chaos_dirs import CHAOS, ChaosScene, content, keys_once
from support.chaos.chaos_log import ChaosLog
from support.chaos.disturbed_run import DisturbedRun, Ending, planned
from support.chaos.llm_process import LLMProcess
from support.chaos.victims import Victims
from support.curate_runs import Ended, curate, end_of, start_curate
from support.dir_contents import assert_texts_hold, latest_states

from shards.storage.dir_lock import read_lock
from shards.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(3600)]

_SEED = int(os.environ.get("CHAOS_SEED", "1"))
_VIDEOS = 8
_ENDS_THE_RUN = ("raylet", "gcs", "command", "ctrl-c", "sigterm")
_GOES_ON = ("worker", "worker", "service", "endpoint")
_SERVERS = {"raylet": "Ray's server on this machine (raylet)", "gcs": "Ray's control server (GCS)"}
_RESUMES = "finished shards are kept, and the same command resumes from there"


@dataclass
class Survivor:
    """The DIR after all runs, the same DIR undisturbed, and what was seen between."""

    dir: Path
    undisturbed: Path
    endings: list[Ending]
    ray_folders: set[str]
    """Folders of the Rays of all runs."""
    refused: list[Ended]
    """Ends of second commands on the DIR while another ran."""
    checks: list[Ended]
    """Ends of `curate check --quick` after each run that was not killed outright."""

    def ending(self, part: str) -> Ending:
        """Return the end of the run that a fault ended."""
        (ending,) = [ending for ending in self.endings if part in ending.struck]
        return ending


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survivor]:
    """Runs that lose what `_ENDS_THE_RUN` and `_GOES_ON` name, in an order drawn from the seed."""
    root = tmp_path_factory.mktemp("chain")
    refused: list[Ended] = []
    checks: list[Ended] = []
    running: list[int] = []
    with LLMProcess() as llm:
        scene = ChaosScene.make(root / "scene", _VIDEOS, 1, llm.url)
        out, chance = root / "out", random.Random(_SEED)

        def start(said: Path) -> subprocess.Popen[bytes]:
            process = start_curate(*scene.arguments(out), log=said)
            running[:] = [process.pid]
            return process

        def ctrl_c(process: subprocess.Popen[bytes]) -> str:
            refused.append(curate(*scene.arguments(out)))
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group gets it
            return f"process {process.pid}"

        def sigterm(process: subprocess.Popen[bytes]) -> str:
            process.terminate()
            return f"process {process.pid}"

        run = DisturbedRun(
            start,
            root,
            Store(out),
            Victims(lambda: running, out / ".scratch"),
            lambda: scene.progress(Store(out)),
            planned(chance, [*_ENDS_THE_RUN, *_GOES_ON]),
            chance,
            ChaosLog(root / "chaos.log", _SEED, f"{_VIDEOS} videos"),
            {"ctrl-c": ctrl_c, "sigterm": sigterm, "endpoint": lambda _: llm.die(1.0)},
            lambda: llm.is_up,
            at_end=lambda status: checks.extend([curate("check", out, "--quick")] if status >= 0 else []),
        )
        run.finish()
        undisturbed = root / "undisturbed"
        quiet = start_curate(*scene.arguments(undisturbed, "--address", "local"), log=root / "said")
        assert end_of(quiet) == 0, (root / "said").read_text()
        assert not run.faults, "every fault found its victim"
        yield Survivor(out, undisturbed, run.endings, run.ray_folders, refused, checks)


def test_a_run_goes_on_without_the_workers_service_and_endpoint_that_it_lost(survivor: Survivor) -> None:
    assert [ending.status for ending in survivor.endings if not set(_ENDS_THE_RUN) & set(ending.struck)] == [0]


@pytest.mark.parametrize("part", _SERVERS)
def test_a_run_that_loses_a_server_of_ray_ends_within_seconds_with_one_line(survivor: Survivor, part: str) -> None:
    ending = survivor.ending(part)
    assert ending.status == 1, ending.said
    assert ending.last_line.startswith(f"curate: stopped: {_SERVERS[part]} has ended; {_RESUMES}")
    assert ending.seconds < 60


@pytest.mark.parametrize("part", ["ctrl-c", "sigterm"])
def test_ctrl_c_and_sigterm_end_a_run_cleanly_with_status_130(survivor: Survivor, part: str) -> None:
    ending = survivor.ending(part)
    assert ending.status == 130, ending.said
    assert ending.last_line == f"curate: interrupted; {_RESUMES}"


def test_no_run_ends_with_a_traceback(survivor: Survivor) -> None:
    for ending in survivor.endings:
        assert not any(word in ending.said for word in ("Traceback", "StackTrace", "C++")), ending.said


def test_no_run_leaves_processes_and_only_a_killed_one_leaves_lock_and_scratch(survivor: Survivor) -> None:
    for ending in survivor.endings:
        assert ending.left_running == ()
        left = {".lock", ".scratch"} & set(ending.top)
        assert left == ({".lock", ".scratch"} if "command" in ending.struck else set()), ending.struck
        assert ending.lock_is_its_own is ("command" in ending.struck)


def test_the_folder_of_a_ray_stays_only_where_a_message_names_its_logs(survivor: Survivor) -> None:
    named = "".join(ending.said for ending in survivor.endings)
    assert survivor.ray_folders
    assert [folder for folder in survivor.ray_folders if Path(folder).exists() and folder not in named] == []


def test_a_second_run_on_the_same_dir_is_refused_with_the_holder(survivor: Survivor) -> None:
    (refused,) = survivor.refused
    assert refused.status == 2
    assert refused.err.count("\n") == 1
    assert "another run holds this folder (process " in refused.err
    assert read_lock(Store(survivor.dir)) is None


def test_the_dir_passes_its_check_after_each_run_that_was_not_killed_outright(survivor: Survivor) -> None:
    assert [(ended.status, ended.out) for ended in survivor.checks if ended.status] == []
    assert len(survivor.checks) == len(survivor.endings) - 1


def test_what_was_committed_before_a_loss_is_not_made_again(survivor: Survivor) -> None:
    changes = ("index.parquet", f"selections/{CHAOS}.parquet")
    for before, after in pairwise(ending.committed for ending in survivor.endings):
        once = {name: seen for name, seen in before.items() if name.endswith((".tar", ".parquet"))}
        kept = {name: seen for name, seen in once.items() if name not in changes and _is_committed(name, once)}
        assert {name: after[name] for name in kept} == kept
    assert any(name.startswith("media/") for name in survivor.endings[0].committed)


def _is_committed(name: str, names: object) -> bool:
    """Return True unless a file belongs to a media shard whose table of clips, the commit mark, is not there."""
    stem = Path(name).stem
    return not stem.isdigit() or f"media/{stem}.parquet" in names  # type: ignore[operator]


def test_the_dir_is_that_of_an_undisturbed_run(survivor: Survivor) -> None:
    store = Store(survivor.dir)
    seen, undisturbed = content(store), content(Store(survivor.undisturbed))
    for name, value in undisturbed.items():
        assert seen[name] == value, name
    assert latest_states(store) == {"written": _VIDEOS}
    assert len(keys_once(store)) >= _VIDEOS
    assert assert_texts_hold(store, CHAOS).keys() == {"ok"}
    assert curate("check", survivor.dir).status == 0
