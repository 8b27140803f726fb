"""The command `curate view`: it prints its address, serves until it is interrupted, and states what is wrong."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
from support.curate_runs import curate
from support.shard_factory import build_dir


def test_it_serves_at_the_printed_address_until_it_is_interrupted(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "out", shards=1)
    command = [sys.executable, "-m", "curation.cli", "view", store.root, "--port", "0"]
    viewer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert viewer.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+/", viewer.stdout.readline())
        assert address is not None
        assert httpx.get(f"{address[0]}browse", timeout=60).status_code == 200
        viewer.send_signal(signal.SIGINT)
        _, said = viewer.communicate(timeout=60)
    finally:
        viewer.kill()
    assert viewer.returncode == 0 and said == ""


def test_a_port_in_use_and_a_missing_dir_are_mistakes_of_one_line(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "out", shards=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = curate("view", store.root, "--port", str(taken.getsockname()[1]))
    assert ended.status == 2 and "--port" in ended.err and ended.err.count("\n") == 1
    assert curate("view", tmp_path / "none").status == 2
    assert curate("view", store.root, "--layer", "groundd").status == 2
