"""Videos that kill their workers: one that does so twice is given up, and all others are written once."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.broken_videos import path_of
from support.curate_runs import CHEAP, config_in, curate, end_of, run_arguments, start_curate
from support.dir_contents import all_rows, latest_states

from runtime.processes import ffmpeg_binary
from shards.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]


def ffmpeg_that(root: Path, script: str) -> dict[str, str]:
    """Return an environment whose ffmpeg first runs shell lines; `{root}` in them is the folder."""
    (root / "bin").mkdir()
    path = root / "bin" / "ffmpeg"
    path.write_text(f'#!/bin/sh\n{script.format(root=root)}\nexec "{ffmpeg_binary()}" "$@"\n')
    path.chmod(0o755)
    return {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


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
