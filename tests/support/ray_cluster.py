"""Real nodes of a Ray cluster on loopback, each with its own raylet; only their own processes are ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from support.curate_runs import RUN_SECONDS
from support.processes import below
from support.video_server import free_port
from support.waiting import PATIENCE

N = TypeVar("N")
_BIN = Path(sys.executable).parent
_STARTS = 6
"""A node waits 15 s for its agent, with no setting, and aborts: on a busy machine it may take a few."""


@dataclass(frozen=True)
class Head:
    """A running head node."""

    address: str
    dashboard: str
    metrics: str
    """URL of the metrics of this node, for Prometheus."""
    environment: dict[str, str]
    """For `ray` and for commands that join: it names the token."""
    process: subprocess.Popen[bytes]


def ray(head: Head, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command `ray` against a head node."""
    command = [str(_BIN / "ray"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=head.environment, cwd=cwd, timeout=RUN_SECONDS)


@contextlib.contextmanager
def head_node(cpus: int, variables: Mapping[str, str] | None = None) -> Iterator[Head]:
    """Run a head node with a token of its own.

    Args:
        cpus: its logical CPUs.
        variables: environment variables of the node and of commands that join.
    """
    folder = Path(tempfile.mkdtemp(prefix="cg-head-", dir="/tmp"))
    (folder / "token").write_text("0123456789abcdef" * 4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        **(variables or {}),
    }

    def start(place: Path) -> Head:
        names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
        ports = {name: free_port() for name in (*names, "metrics-export-port")}
        command = ["--head", f"--num-cpus={cpus}", "--dashboard-host=127.0.0.1", f"--temp-dir={place}"]
        process = _start_node([*command, *(f"--{name}={port}" for name, port in ports.items())], place, environment)
        dashboard = f"http://127.0.0.1:{ports['dashboard-port']}"
        metrics = f"http://127.0.0.1:{ports['metrics-export-port']}/metrics"
        return Head(f"127.0.0.1:{ports['port']}", dashboard, metrics, environment, process)

    def takes_jobs(head: Head) -> bool:
        return ray(head, "job", "list", "--address", head.dashboard).returncode == 0

    with _started(folder, start, lambda head: head.process, takes_jobs) as head:
        yield head


@contextlib.contextmanager
def joined_node(head: Head, cpus: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a second node of a head's cluster, on the same machine."""
    folder = Path(tempfile.mkdtemp(prefix="cg-node-", dir="/tmp"))

    def start(place: Path) -> subprocess.Popen[bytes]:
        ports = {name: free_port() for name in ("dashboard-agent-listen-port", "metrics-export-port")}
        command = [f"--address={head.address}", f"--num-cpus={cpus}"]
        return _start_node([*command, *(f"--{name}={port}" for name, port in ports.items())], place, head.environment)

    with _started(folder, start, lambda process: process, lambda _: True) as process:
        yield process


def _start_node(arguments: list[str], place: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    place.mkdir()
    command = [str(_BIN / "ray"), "start", "--block", "--node-ip-address=127.0.0.1", "--object-store-memory=200000000"]
    with (place / "said").open("wb") as said:
        return subprocess.Popen(
            [*command, *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=dict(environment)
        )


@contextlib.contextmanager
def _started(
    folder: Path,
    start: Callable[[Path], N],
    process_of: Callable[[N], subprocess.Popen[bytes]],
    is_ready: Callable[[N], bool],
) -> Iterator[N]:
    """Start a node, again if it gives up; end it and remove its folder afterwards."""
    try:
        for attempt in range(_STARTS):
            place = folder / str(attempt)
            node = start(place)
            process = process_of(node)
            try:
                deadline = time.monotonic() + PATIENCE
                while time.monotonic() < deadline and process.poll() is None:
                    if b"Ray runtime started" in (place / "said").read_bytes() and is_ready(node):
                        yield node
                        return
                    time.sleep(0.5)
            finally:
                _end(process)
        pytest.fail(f"no Ray node came up in {_STARTS} attempts")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a node and everything below it, and nothing else (`ray stop` would end every Ray there is)."""
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
