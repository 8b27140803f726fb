"""One DIR whose runs lose Ray's servers, are terminated, and lose workers: nothing is lost, and nothing made twice."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from support.curate_runs import (
    CHEAP,
    RUN_SECONDS,
    config_in,
    curate,
    end_of,
    run_arguments,
    start_curate,
    talks,
    wait_until,
)
from support.dir_contents import Snapshot, all_rows, assert_texts_hold, latest_states, shape, snapshot
from support.fake_llm import Body, FakeLLM, Reply
from support.model_replies import careful, has_image
from support.processes import below, still_running

from runtime.processes import ffmpeg_binary
from shards.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]

_VIDEOS = 4


@dataclass(frozen=True)
class Loss:
    """A run after which something was lost."""

    status: int
    said: str
    seconds: float
    """From the loss to the end of the run."""
    left_running: list[str]
    files: list[str]
    """Names at the top of the DIR."""
    scratch: list[str]
    """Names of the folders that unfinished shards keep in scratch."""
    committed: Snapshot

    @property
    def last_line(self) -> str:
        """The line that the command ended with."""
        return self.said.rstrip("\n").splitlines()[-1]


@dataclass(frozen=True)
class Losses:
    """The DIR after all runs, the same DIR undisturbed, and what was seen between."""

    dir: Path
    undisturbed: Path
    losses: dict[str, Loss] = field(default_factory=dict)


def named(pid: int, text: str) -> list[psutil.Process]:
    """Return the processes below `pid` whose name or command line has `text`."""
    return [p for p in below(pid) if text in _words_of(p)]


def _words_of(process: psutil.Process) -> str:
    try:
        return f"{process.name()} {' '.join(process.cmdline())}"
    except psutil.NoSuchProcess:
        return ""


def kill(name: str, pid: int) -> None:
    """Kill the processes below `pid` with a name."""
    victims = named(pid, name)
    assert victims, f"no {name} runs"
    for victim in victims:
        victim.kill()


class Scene:
    """The folder, inputs and model of the runs over one DIR."""

    def __init__(self, root: Path, llm: FakeLLM) -> None:
        self.root = root
        self.inputs = talks(root / "in", *(9.0 + i for i in range(_VIDEOS)))
        self.config = config_in(root)
        self.llm = llm

    def arguments(self, output: str) -> list[str | Path]:
        """Return the arguments of the run into a folder, with one video a shard."""
        arguments = run_arguments(CHEAP, self.config, self.inputs, self.root / output, self.llm)
        return [*arguments, "--set", "videos_per_shard=1"]

    def start(self, name: str, held: str = "", once: str = "") -> subprocess.Popen[bytes]:
        """Start a run whose ffmpeg does not end on the videos that match `held`, nor the first time on `once`."""
        folder = self.root / name
        folder.mkdir()
        ffmpeg = folder / "ffmpeg"
        lines = ["#!/bin/sh", f'case "$*" in {held or "nothing"}) exec sleep 600 ;; esac']
        lines += [f'case "$*" in {once or "nothing"}) if mkdir "{folder}/once" 2>&-; then exec sleep 600; fi ;; esac']
        ffmpeg.write_text("\n".join([*lines, f'exec "{ffmpeg_binary()}" "$@"\n']))
        ffmpeg.chmod(0o755)
        path = f"{folder}:/usr/bin:/bin"
        return start_curate(*self.arguments("out"), log=folder / "said", env={"PATH": path})

    def lose(self, name: str, process: subprocess.Popen[bytes], shard: int, act: Callable[[int], None]) -> Loss:
        """Do what `act` does once the media of `shard` are committed, and wait for the end of the run."""
        said = self.root / name / "said"
        wait_until((self.root / "out" / "media" / f"{shard:07d}.parquet").exists, process, said)
        return self.end(name, process, lambda: act(process.pid))

    def end(self, name: str, process: subprocess.Popen[bytes], act: Callable[[], None]) -> Loss:
        """Act, wait for the end of the run, and look around."""
        children, began = below(process.pid), time.monotonic()
        act()
        status = end_of(process)
        return Loss(
            status,
            (self.root / name / "said").read_text(),
            time.monotonic() - began,
            still_running(children),
            sorted(path.name for path in (self.root / "out").iterdir()),
            sorted(path.name for path in (self.root / "out" / ".scratch").glob("media/*/*/*")),
            snapshot(self.root / "out"),
        )


def _others(number: int) -> str:
    return "|".join(f"*talk-{i}*" for i in range(number + 1, _VIDEOS))


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Losses]:
    """The raylet is lost, then the GCS; then SIGTERM comes; then a media worker is lost."""
    gate = threading.Event()

    def held(body: Body) -> Reply:
        if not has_image(body):
            gate.wait(RUN_SECONDS)
        return careful(body)

    with FakeLLM(held) as llm:
        scene = Scene(tmp_path_factory.mktemp("losses"), llm)
        result = Losses(scene.root / "out", scene.root / "undisturbed")
        result.losses["raylet"] = scene.lose(
            "raylet", scene.start("raylet", _others(0)), 0, lambda pid: kill("raylet/raylet", pid)
        )
        result.losses["gcs"] = scene.lose("gcs", scene.start("gcs", _others(1)), 1, lambda pid: kill("gcs_server", pid))
        sigterm = scene.start("sigterm", _others(2))
        result.losses["sigterm"] = scene.lose("sigterm", sigterm, 2, lambda _: sigterm.send_signal(signal.SIGTERM))
        workers = scene.start("workers", once="*talk-3*")
        wait_until((scene.root / "workers" / "once").exists, workers, scene.root / "workers" / "said")

        def lose_worker() -> None:
            (sleeping,) = named(workers.pid, "sleep 600")
            worker = sleeping.parent()
            assert worker is not None
            worker.kill()
            gate.set()

        result.losses["workers"] = scene.end("workers", workers, lose_worker)
        assert curate(*scene.arguments("undisturbed"), "--address", "local").status == 0
        yield result


SERVERS = pytest.mark.parametrize(
    ("name", "line"), [("raylet", "Ray's server on this machine (raylet)"), ("gcs", "Ray's control server (GCS)")]
)


@SERVERS
def test_a_run_that_loses_a_server_of_ray_ends_within_seconds_with_one_line(
    losses: Losses, name: str, line: str
) -> None:
    loss = losses.losses[name]
    assert loss.status == 1, loss.said
    assert loss.last_line.startswith(
        f"curate: stopped: {line} has ended; finished shards are kept, and the same command resumes from there"
    )
    assert "Traceback" not in loss.said and "C++" not in loss.said and "StackTrace" not in loss.said
    assert loss.seconds < 60


def test_sigterm_ends_a_run_as_ctrl_c_does(losses: Losses) -> None:
    loss = losses.losses["sigterm"]
    assert loss.status == 130, loss.said
    assert loss.last_line == ("curate: interrupted; finished shards are kept, and the same command resumes from there")
    assert "Traceback" not in loss.said and "StackTrace" not in loss.said


def test_a_run_goes_on_without_the_media_worker_that_it_lost(losses: Losses) -> None:
    assert losses.losses["workers"].status == 0, losses.losses["workers"].said
    assert "Traceback" not in losses.losses["workers"].said


@pytest.mark.parametrize("name", ["raylet", "gcs", "sigterm", "workers"])
def test_neither_processes_nor_lock_are_left_and_only_finished_videos_in_scratch(losses: Losses, name: str) -> None:
    loss = losses.losses[name]
    assert loss.left_running == []
    assert ".lock" not in loss.files
    assert set(loss.scratch) <= {"parts", "downloads"}
    assert loss.scratch or ".scratch" not in loss.files
    assert name != "workers" or not loss.scratch, "this run came to its end"


def test_what_was_committed_before_a_loss_is_not_made_again(losses: Losses) -> None:
    snapshots = [loss.committed for loss in losses.losses.values()]
    for before, after in pairwise(snapshots):
        kept = {name: seen for name, seen in before.items() if name.endswith((".tar", ".parquet"))}
        once = {name: seen for name, seen in kept.items() if name != "index.parquet"}
        assert once
        assert {name: after[name] for name in once} == once


def test_the_dir_is_that_of_an_undisturbed_run(losses: Losses) -> None:
    store, undisturbed = Store(losses.dir), Store(losses.undisturbed)
    assert shape(store, CHEAP) == shape(undisturbed, CHEAP)
    assert latest_states(store) == latest_states(undisturbed) == {"written": _VIDEOS}
    keys = [row["key"] for row in all_rows(store, "media")]
    assert len(keys) == len(set(keys))
    assert_texts_hold(store, CHEAP)
    assert curate("check", losses.dir).status == 0
