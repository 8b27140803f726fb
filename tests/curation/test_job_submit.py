"""On a cluster, with a real head node on loopback: `curate` and `train-vidla` as jobs of `ray job submit`, and
`curate` joining with ``--address``; together, because a head node takes long to start."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from support.curate_runs import CHEAP, RUN_SECONDS, config_in, curate, end_of, run_arguments, start_curate, talks
from support.dir_contents import all_rows, assert_texts_hold, latest_states
from support.fake_llm import FakeLLM
from support.model_replies import careful
from support.processes import below
from support.shard_factory import build_dir
from support.video_server import free_port
from support.vidla_runs import arguments as train_arguments
from support.waiting import PATIENCE

from shards.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]  # a head node may take several starts

BIN = Path(sys.executable).parent
STARTS = 6
"""A node waits 15 s for its agent, with no setting, and aborts: on a busy machine it may take a few."""


@dataclass(frozen=True)
class Head:
    """A running head node."""

    address: str
    dashboard: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head node of two logical CPUs with a token of its own; only its own processes are ended."""
    folder = Path(tempfile.mkdtemp(prefix="cg-head-", dir="/tmp"))
    (folder / "token").write_text("0123456789abcdef" * 4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    try:
        for attempt in range(STARTS):
            place = folder / str(attempt)
            process, found = _start_head(place, environment)
            try:
                if _takes_jobs(found, process, place):
                    yield found
                    return
            finally:
                _end(process)
        pytest.fail(f"no head node came up in {STARTS} attempts")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_head(folder: Path, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], Head]:
    folder.mkdir()
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port", "metrics-export-port")
    ports = {name: free_port() for name in names}
    command = [str(BIN / "ray"), "start", "--head", "--block", "--num-cpus=2", "--node-ip-address=127.0.0.1"]
    command += ["--dashboard-host=127.0.0.1", f"--temp-dir={folder}", "--object-store-memory=200000000"]
    command += [f"--{name}={port}" for name, port in ports.items()]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment)
    return process, Head(f"127.0.0.1:{ports['port']}", f"http://127.0.0.1:{ports['dashboard-port']}", environment)


def _takes_jobs(head: Head, process: subprocess.Popen[bytes], folder: Path) -> bool:
    """Wait until the head node takes jobs; return False if it ended, because Ray gives up on a busy machine."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        up = b"Ray runtime started" in (folder / "said").read_bytes()
        if up and _ray(head, "job", "list", "--address", head.dashboard).returncode == 0:
            return True
        time.sleep(0.5)
    return False


def _ray(head: Head, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "ray"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=head.environment, cwd=cwd, timeout=RUN_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the head node and everything below it, and nothing else (`ray stop` would end every Ray there is)."""
    if process.poll() is not None:
        return
    tree = below(process.pid)
    process.terminate()
    for each in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.terminate()
    for each in psutil.wait_procs(tree, timeout=2)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.kill()
    process.wait()


@dataclass(frozen=True)
class Submitted:
    """A DIR that a submitted job made."""

    store: Store
    ended: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def submitted(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """A DIR made by `ray job submit --working-dir FOLDER -- curate run …`."""
    root = tmp_path_factory.mktemp("submitted")
    work, inputs = root / "work", talks(root / "in", 9, 40)
    work.mkdir()
    config = config_in(work)
    with FakeLLM(careful) as llm:
        arguments = run_arguments(CHEAP, Path(config.name), inputs, root / "out", llm)
        arguments += ["--set", "videos_per_shard=1"]
        submit: list[str | Path] = ["job", "submit", "--address", head.dashboard, "--working-dir", work, "--", "curate"]
        ended = _ray(head, *submit, *arguments, cwd=root)
    return Submitted(Store(root / "out"), ended)


def test_a_submitted_job_makes_the_shards(submitted: Submitted) -> None:
    store, ended = submitted.store, submitted.ended
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "succeeded" in ended.stdout
    assert curate("check", store.root).status == 0
    assert latest_states(store) == {"written": 2}
    assert assert_texts_hold(store, CHEAP).keys() == {"ok"}
    assert {row["shard"] for row in all_rows(store, "media")} == {0, 1}


def test_a_run_joins_the_cluster_at_an_address(head: Head, submitted: Submitted, tmp_path: Path) -> None:
    store = submitted.store
    sources = {row["source"] for row in all_rows(store, "ledger")}
    with FakeLLM(careful) as llm:
        arguments = run_arguments(CHEAP, config_in(tmp_path), sorted(sources), Path(store.root), llm)
        arguments += ["--layer", "joined", "--address", head.address]
        process = start_curate(*arguments, log=tmp_path / "said", env=head.environment)
        assert end_of(process) == 0, (tmp_path / "said").read_text()
    assert assert_texts_hold(store, "joined").keys() == {"ok"}
    assert curate("check", store.root, "--quick").status == 0


def test_a_plan_leaves_the_layout_to_the_cluster_it_would_join(
    head: Head, submitted: Submitted, tmp_path: Path
) -> None:
    inputs = Path(submitted.store.root).parent / "in"
    with FakeLLM(careful) as llm:
        arguments = run_arguments(CHEAP, config_in(tmp_path), inputs, tmp_path / "out", llm)
        ended = curate("plan", *arguments[1:], "--address", head.address)
    assert ended.status == 0, ended.err
    assert "The Ray cluster that the run joins decides" in ended.out


def test_a_submitted_training_leaves_a_model(head: Head, tmp_path: Path) -> None:
    build_dir(tmp_path / "shards")
    arguments = train_arguments(tmp_path / "shards", tmp_path / "run", steps=2)
    (tmp_path / "work").mkdir()
    submit: list[str | Path] = [
        "job",
        "submit",
        "--address",
        head.dashboard,
        "--working-dir",
        tmp_path / "work",
        "--",
        "train-vidla",
    ]
    ended = _ray(head, *submit, *arguments, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "step 2 " in ended.stdout
    assert (tmp_path / "run" / "checkpoints" / "step-00000002" / "model.safetensors").exists()
