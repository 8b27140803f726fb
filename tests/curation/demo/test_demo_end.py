"""The last lines of `make demo`: commands that work in the shell that started it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from curation.demo.__main__ import _print_next


def test_it_ends_with_the_command_that_opens_the_viewer_and_its_address(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    _print_next(Path("demo/shards"), 234.0)
    printed = capsys.readouterr().out
    (view,) = [shlex.split(line) for line in printed.splitlines() if " view " in line]
    assert view[1:] == ["view", "demo/shards"] and "http://127.0.0.1:8765/" in printed
    alone = {**os.environ, "PATH": "/usr/bin:/bin"}  # the shell of a newcomer doesn't know the environment's programs
    ended = subprocess.run(view, capture_output=True, text=True, check=False, env=alone)
    assert ended.returncode == 2 and "no such folder" in ended.stderr
