"""Commands and programs in the README and the guides work as they are written.

A block without a mark is run, line by line, in a folder that has a finished DIR as `out` and as `demo/shards`. A block
that needs more than this machine has a mark in the line above it. With `<!-- needs: GPU -->` and the like, the
arguments are checked and nothing is run; `<!-- runs: make demo-kd -->` names the command that runs the block.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.known_videos import add_videos
from support.shard_factory import build_dir

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
NEEDS = {"GPU", "hub", "cluster", "data", "endpoint", "browser"}
RUNS = {"make", "make demo-train", "make demo-kd", "models from packages"}
LAUNCHERS = re.compile(
    r"^(ray job submit .*?-- )?(RAY_AUTH_MODE=token )?(torchrun .*?-m training\.(vidla|vidlankd)\.(?=train_))?"
)
MODULES = {"train_vidla": "train-vidla", "train_vidlankd": "train-vidlankd"}


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    mark: str
    """`needs: …`, `runs: …`, or empty."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The shell commands, one a line, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [
            " ".join(shlex.split(line, comments=True)) and line.split("  #")[0].strip()
            for line in lines
            if line.strip()
        ]


def blocks() -> list[Block]:
    """All blocks of shell commands, of Python and of SQL."""
    pattern = re.compile(r"(?:<!-- ((?:needs|runs): [^>]*?) -->\n)?```(bash|python|sql)\n(.*?)```", re.DOTALL)
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            name = str(page.relative_to(REPOSITORY))
            found.append(Block(name, line, match[2], match[3], match[1] or ""))
    return found


BLOCKS = blocks()
MADE_HERE = [block for block in BLOCKS if not block.mark]
NEED_MORE = [block for block in BLOCKS if block.mark.startswith("needs: ")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `out` and `demo/shards` are a small finished DIR."""
    folder = tmp_path_factory.mktemp("guides")
    store = build_dir(folder / "out", layer="demo", shards=2, videos_per_shard=5, val_percent=30.0)
    add_videos(store, lambda root: {"video_title": "A talk", "video_license": "CC BY", "carried": '{"topic": "x"}'})
    shutil.copytree(folder / "out", folder / "demo" / "shards")
    return folder


def run(command: list[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with this environment's programs first on the PATH; nothing is fetched."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    shell = ["bash", "-c", command] if isinstance(command, str) else command
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_mark_is_known() -> None:
    for block in BLOCKS:
        kind, _, names = block.mark.partition(": ")
        assert kind in ("", "needs", "runs"), block
        assert set(names.split(", ")) <= (NEEDS if kind == "needs" else RUNS | {""}), block


@pytest.mark.parametrize("block", MADE_HERE, ids=str)
def test_a_block_runs_as_it_is_written(block: Block, workplace: Path) -> None:
    if block.language in ("python", "sql"):
        program = f"import duckdb\nprint(duckdb.sql({block.text!r}).fetchall())"
        done = run([sys.executable, "-c", program if block.language == "sql" else block.text], workplace)
        assert done.returncode == 0, done.stderr
        return
    for command in block.commands:
        done = run(command, workplace)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("block", NEED_MORE, ids=str)
def test_arguments_of_a_block_that_needs_more_are_valid(block: Block, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("https://example.org/a.mp4\n")
    checked = [checkable(command) for command in block.commands]
    for command in filter(None, checked):
        done = run(command, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def checkable(command: str) -> str | None:
    """The command without its launcher, such that it checks its arguments and does nothing; None for other programs."""
    bare = LAUNCHERS.sub("", command)
    for module, program in MODULES.items():
        bare = re.sub(rf"^{module}\b", program, bare)
    words = bare.split()
    if words[0] == "curate" and words[1] in ("run", "plan"):
        shared = re.sub(r" --(probe|nodes|prices) \S+", "", bare)  # arguments of `plan` alone
        return re.sub(r"^curate (run|plan)", "curate run", shared) + " --print-config"
    if words[0] == "train-vidla" or words[:2] in (["train-vidlankd", "teacher"], ["train-vidlankd", "student"]):
        return f"{bare} --print-config"
    return None
